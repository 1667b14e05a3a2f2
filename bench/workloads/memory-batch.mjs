import { eventEmitter, ottla, runs, sends } from '../harness/dispatch.mjs'
import { makePayloads } from '../harness/payloads.mjs'

export const workload = {
  name: 'memory-batch',
  title: 'Memory: arrays of 1,000 to a batch handler',
  settings: [
    'a measurement takes 5 to 10 ms, after as long a lead that is not timed; ottla: one broker for all, whose memory is bounded at 64 MiB (`lossy`)',
    'values of 100 B through `bytes()`, no key, 1 partition, 1 group; a new message object each for both contenders',
    'ottla: `send` of an array of 1,000, awaited one after the other, 20 of them; `runBatches` with its defaults',
    'EventEmitter: 1 listener, 200,000 calls of `emit`',
  ],
  rows: [
    {
      id: '1',
      label: 'memory, send of 1,000 -> runBatches',
      ours: 'ottla',
      peer: 'EventEmitter',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.05,
      goal: 0.55,
      goalOf: '(by reference)',
    },
  ],
  repetitions: 61,
  warmups: 40,
  async open() {
    const payloads = makePayloads(1000, 100)
    return {
      contenders: {
        ottla: ottla({ payloads, rounds: 20, run: runs.batches, send: sends.batch }),
        EventEmitter: eventEmitter({ payloads, rounds: 200 }),
      },
      async close() {},
    }
  },
}
