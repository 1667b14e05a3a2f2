import { awaitedHandler, ottla, runs, sends } from '../harness/dispatch.mjs'
import { makePayloads } from '../harness/payloads.mjs'

export const workload = {
  name: 'memory-async-handler',
  title: 'Memory: single sends, each with its own promise, to an async handler',
  settings: [
    'values of 100 B through `bytes()`, no key, 1 partition, 1 group; a new message object each for both contenders',
    'ottla: 1,000 calls of `send` a turn, then the last promise is awaited; 200,000 in all; `run` with its defaults',
    'await handler(message): the same async handler, called and awaited in a loop; 1,000,000',
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
  repetitions: 9,
  warmups: 2,
  async open() {
    const payloads = makePayloads(1000, 100)
    return {
      contenders: {
        ottla: ottla({ payloads, rounds: 200, run: runs.async, send: sends.each }),
        'await handler(message)': awaitedHandler({ payloads, rounds: 1000 }),
      },
      async close() {},
    }
  },
}
