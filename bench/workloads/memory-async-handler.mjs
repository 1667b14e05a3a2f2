import { awaitedHandler, ottla, runs, sends } from '../harness/dispatch.mjs'
import { makePayloads } from '../harness/payloads.mjs'

export const workload = {
  name: 'memory-async-handler',
  title: 'Memory: single sends, each with its own promise, to an async handler',
  settings: [
    'a measurement takes 5 to 10 ms, after as long a lead that is not timed; ottla: one broker for all, whose memory is bounded at 64 MiB (`lossy`)',
    'values of 100 B through `bytes()`, no key, 1 partition, 1 group; a new message object each for both contenders, with the same properties',
    'ottla: 1,000 calls of `send` a turn, then the last promise is awaited; 20,000 in all; `run` with its defaults',
    'await handler(message): the same async handler, called and awaited in a loop; 100,000',
  ],
  rows: [
    {
      id: '3',
      label: 'memory, send -> async handler',
      ours: 'ottla',
      peer: 'await handler(message)',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.2,
      goal: 0.51,
    },
  ],
  repetitions: 61,
  warmups: 40,
  async open() {
    const payloads = makePayloads(1000, 100)
    return {
      contenders: {
        ottla: ottla({ payloads, rounds: 20, run: runs.async, send: sends.each }),
        'await handler(message)': awaitedHandler({ payloads, rounds: 100 }),
      },
      async close() {},
    }
  },
}
