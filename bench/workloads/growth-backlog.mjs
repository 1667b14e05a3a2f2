import { RetainedLog } from '../harness/retained-log.mjs'

const SIZES = { 'an empty log': 0, '1e4': 1e4, '1e5': 1e5, '1e6': 1e6, '1e7': 1e7 }
const REPLAYED = 1_000_000
const SEEKS = 500

const row = { id: '24', peer: 'of 1e6' }

export const workload = {
  name: 'growth-backlog',
  title: 'What a long log costs, in memory',
  settings: [
    '10,000 to 10,000,000 messages of 100 B through `bytes()`, no key, 1 partition; each log in a worker of its own, whose code is warm',
    'filled by `send` of 1,000, once; bytes are those of heap and off the heap after a full GC',
    'replay: 1,000,000 messages by `runBatches`, from random places on, the short logs several times over',
    'seek: 500 times to a random offset, until the handler of `run` has the message; the median',
    'full GC: `gc()` of the worker that holds the log',
  ],
  rows: [
    {
      id: '19',
      label: 'full GC with 1e7 retained',
      ours: 'gc 1e7',
      peer: 'gc an empty log',
      better: 'lower',
      unit: 'ms',
    },
    {
      ...row,
      label: '1e7 retained, memory per message',
      ours: 'bytes 1e7',
      peer: 'bytes 1e6',
      better: 'lower',
      unit: 'B',
      floor: 1.05,
      goal: 1,
    },
    {
      ...row,
      label: '1e7 retained, replay',
      ours: 'replay 1e7',
      peer: 'replay 1e6',
      better: 'higher',
      unit: 'msg/s',
      floor: 0.7,
      goal: 0.84,
    },
    {
      ...row,
      label: '1e7 retained, seek p50',
      ours: 'seek 1e7',
      peer: 'seek 1e6',
      better: 'lower',
      unit: 'us',
      floor: 2,
      goal: 1,
    },
  ],
  tables: [
    {
      title: 'Backlog, in memory',
      corner: 'messages',
      columns: ['append, msg/s', 'memory per message, B', 'replay, msg/s', 'seek p50, us', 'full GC, ms'],
      lines: Object.keys(SIZES).map((size) => ({
        label: size,
        contenders:
          SIZES[size] === 0
            ? [undefined, undefined, undefined, undefined, `gc ${size}`]
            : [`append ${size}`, `bytes ${size}`, `replay ${size}`, `seek ${size}`, `gc ${size}`],
      })),
    },
  ],
  repetitions: 5,
  warmups: 1,
  async open() {
    const contenders = {}
    const logs = []
    for (const [size, messages] of Object.entries(SIZES)) {
      const log = await RetainedLog.open(messages)
      logs.push(log)
      contenders[`gc ${size}`] = async () => ({ value: await log.collectGarbage() })
      if (messages === 0) continue
      contenders[`append ${size}`] = () => ({ value: log.filled.messagesPerSecond })
      contenders[`bytes ${size}`] = () => ({ value: log.filled.bytesPerMessage })
      contenders[`replay ${size}`] = async () => ({ work: REPLAYED, seconds: await log.replay(REPLAYED) })
      contenders[`seek ${size}`] = async () => ({ value: await log.seek(SEEKS) })
    }
    return {
      contenders,
      async close() {
        for (const log of logs) await log.close()
      },
    }
  },
}
