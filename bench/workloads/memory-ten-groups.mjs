import { eventEmitter, fastq, mqEmitter, ottla, runs, sends } from '../harness/dispatch.mjs'
import { makePayloads } from '../harness/payloads.mjs'

const row = {
  id: '4',
  label: 'memory, 1 publisher, 10 groups',
  ours: 'ottla',
  better: 'higher',
  unit: 'publishes/s',
  goalOf: '(by reference)',
}

export const workload = {
  name: 'memory-ten-groups',
  title: 'Memory: one publisher, ten groups, everything to each of them',
  settings: [
    'a measurement takes 5 to 10 ms, after as long a lead that is not timed; ottla: one broker for all, whose memory is bounded at 64 MiB (`lossy`)',
    'values of 100 B through `bytes()`, no key, 1 partition; a new message object for each publish',
    'ottla: 1,000 calls of `send` a turn, then the last promise is awaited; 5,000 in all; 10 groups with `runBatches`',
    'EventEmitter: 10 listeners, 50,000 calls of `emit`',
    'mqemitter: 10 listeners, concurrency 1, a callback for each `emit`; 10,000',
    'fastq.promise: 10 queues with concurrency 1, 1,000 messages a turn pushed to each, then the last promise is awaited; 2,000',
  ],
  rows: [
    { ...row, peer: 'EventEmitter', floor: 0.1, goal: 0.6 },
    { ...row, peer: 'mqemitter', floor: 0.3, goal: 1.4 },
    { ...row, peer: 'fastq.promise', floor: 1.5, goal: 8 },
  ],
  repetitions: 61,
  warmups: 40,
  async open() {
    const payloads = makePayloads(1000, 100)
    const listeners = 10
    return {
      contenders: {
        ottla: ottla({ payloads, rounds: 5, listeners, run: runs.batches, send: sends.each }),
        EventEmitter: eventEmitter({ payloads, rounds: 50, listeners }),
        mqemitter: mqEmitter({ payloads, rounds: 10, listeners }),
        'fastq.promise': fastq({ payloads, rounds: 2, listeners }),
      },
      async close() {},
    }
  },
}
