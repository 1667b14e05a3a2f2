import { emittery, eventEmitter, fastq, mqEmitter, ottla, runs, sends } from '../harness/dispatch.mjs'
import { makePayloads } from '../harness/payloads.mjs'

const row = {
  id: '2',
  label: 'memory, send -> handler that returns nothing',
  ours: 'ottla',
  better: 'higher',
  unit: 'msg/s',
  goalOf: '(by reference)',
}

export const workload = {
  name: 'memory-send',
  title: 'Memory: single sends, each with its own promise, to a handler that returns nothing',
  settings: [
    'a measurement takes 5 to 10 ms, after as long a lead that is not timed; ottla: one broker for all, whose memory is bounded at 64 MiB (`lossy`)',
    'values of 100 B through `bytes()`, no key, 1 partition, 1 group; a new message object each for every contender',
    'ottla: 1,000 calls of `send` a turn, then the last promise is awaited; 20,000 in all; `run` with its defaults',
    'EventEmitter: 1 listener, 200,000 calls of `emit`',
    'mqemitter: concurrency 1, a callback for each `emit`; 20,000',
    'fastq.promise: concurrency 1, 1,000 calls of `push` a turn, then the last promise is awaited; 20,000',
    'emittery: 1,000 calls of `emit` a turn, then the last promise is awaited; 4,000',
  ],
  rows: [
    { ...row, peer: 'EventEmitter', floor: 0.04, goal: 0.36 },
    { ...row, peer: 'mqemitter', floor: 0.4, goal: 2 },
    { ...row, peer: 'fastq.promise', floor: 0.4, goal: 2 },
    { ...row, peer: 'emittery', floor: 2, goal: 12 },
  ],
  repetitions: 61,
  warmups: 40,
  async open() {
    const payloads = makePayloads(1000, 100)
    return {
      contenders: {
        ottla: ottla({ payloads, rounds: 20, run: runs.sync, send: sends.each }),
        EventEmitter: eventEmitter({ payloads, rounds: 200 }),
        mqemitter: mqEmitter({ payloads, rounds: 20 }),
        'fastq.promise': fastq({ payloads, rounds: 20 }),
        emittery: emittery({ payloads, rounds: 4 }),
      },
      async close() {},
    }
  },
}
