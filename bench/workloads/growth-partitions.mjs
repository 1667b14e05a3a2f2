import { keyed, ottla, runs } from '../harness/dispatch.mjs'
import { makePayloads } from '../harness/payloads.mjs'

const PARTITIONS = [1, 4, 16, 64]

export const workload = {
  name: 'growth-partitions',
  title: 'What more partitions cost, in memory',
  settings: [
    'values of 100 B through `bytes()`, 1,000 keys of 8 B, spread by the key; 20,000 messages, 1 group, 1 member',
    'live: sent and handled in the same time, by `runBatches` or by `run` with a handler that returns nothing',
    'send of 1,000: one array a turn, awaited; single sends: 1,000 a turn, all awaited',
  ],
  rows: [
    {
      id: '24',
      label: '64 partitions, live, send of 1,000 -> runBatches',
      ours: 'batches 64',
      peer: 'batches 1',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.6,
      goal: 0.75,
    },
  ],
  tables: [
    {
      title: 'Partitions, in memory, live',
      corner: 'partitions',
      columns: ['send of 1,000 -> runBatches, msg/s', 'single sends -> run, msg/s'],
      lines: PARTITIONS.map((count) => ({ label: `${count}`, contenders: [`batches ${count}`, `single ${count}`] })),
    },
  ],
  repetitions: 15,
  // V8 compiles late what runs once for a batch: the first six were at half of what the others made.
  warmups: 8,
  async open() {
    const payloads = makePayloads(1000, 100)
    const send = keyed(payloads.map((_, index) => `key-${1000 + index}`))
    const contenders = {}
    for (const partitions of PARTITIONS) {
      const shared = { payloads, rounds: 20, partitions }
      contenders[`batches ${partitions}`] = ottla({ ...shared, run: runs.batches, send: send.batch })
      contenders[`single ${partitions}`] = ottla({ ...shared, run: runs.sync, send: send.each })
    }
    return { contenders, async close() {} }
  },
}
