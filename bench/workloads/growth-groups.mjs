import { ottla, runs, sends } from '../harness/dispatch.mjs'
import { makePayloads } from '../harness/payloads.mjs'

/** By the number of groups: how many times 1,000 messages are sent. */
const ROUNDS = { 1: 60, 2: 40, 10: 12, 100: 2 }

const row = { id: '25', better: 'higher', unit: 'deliveries/s' }

export const workload = {
  name: 'growth-groups',
  title: 'What more groups cost, in memory',
  settings: [
    'values of 100 B through `bytes()`, no key, 1 partition; each group has 1 member and gets everything',
    '`send` of 1,000, awaited one after the other: 60,000 messages for 1 group, 40,000 for 2, 12,000 for 10, 2,000 for 100',
    'handled by `runBatches`, or by `run` with an async handler; deliveries to all groups are counted',
  ],
  rows: [
    { ...row, label: '10 groups, runBatches', ours: 'batches 10', peer: 'batches 1', floor: 1.8, goal: 2.3 },
    { ...row, label: '100 groups, runBatches', ours: 'batches 100', peer: 'batches 10', floor: 0.6, goal: 0.7 },
  ],
  tables: [
    {
      title: 'Groups, in memory, live',
      corner: 'groups',
      columns: ['runBatches, deliveries/s', 'run with an async handler, deliveries/s'],
      lines: Object.keys(ROUNDS).map((count) => ({ label: count, contenders: [`batches ${count}`, `async ${count}`] })),
    },
  ],
  repetitions: 7,
  warmups: 2,
  async open() {
    const payloads = makePayloads(1000, 100)
    const contenders = {}
    for (const [count, rounds] of Object.entries(ROUNDS)) {
      const listeners = Number(count)
      const deliveries = (contender) => async () => {
        const { work, seconds } = await contender()
        return { work: work * listeners, seconds }
      }
      const shared = { payloads, rounds, listeners, send: sends.batch }
      contenders[`batches ${count}`] = deliveries(ottla({ ...shared, run: runs.batches }))
      contenders[`async ${count}`] = deliveries(ottla({ ...shared, run: runs.async }))
    }
    return { contenders, async close() {} }
  },
}
