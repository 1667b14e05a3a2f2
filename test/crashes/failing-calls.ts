import { Broker, FileStorage, json, OttlaError, Topic } from 'ottla'
import { type DiskFault, SimulatedFileSystem } from '../../src/testing/simulated-file-system.js'

const orders = new Topic('orders', { retentionBytes: 1500, value: json<number>() })
const keys = new Topic('keys', { cleanupPolicy: 'compact', value: json<number>() })

/** What was acknowledged, and which calls of an app were refused. */
interface Progress {
  readonly sent: Map<number, number>
  ordersStart: number
  committed: number
  readonly refusals: string[]
}

const EXPECTED = ['OTTLA_STORAGE_FAILED', 'OTTLA_STORAGE_FULL', 'OTTLA_CLOSED']

/** An app that goes on whatever is refused, and opens its broker anew where it must. */
async function app(disk: SimulatedFileSystem, progress: Progress): Promise<void> {
  const attempt = async (act: () => Promise<unknown>): Promise<boolean> => {
    try {
      await act()
      return true
    } catch (error) {
      if (!OttlaError.is(error) || !EXPECTED.includes(error.code)) throw error
      progress.refusals.push(error.code)
      return false
    }
  }
  let number = 0
  for (let life = 0; life < 3; life++) {
    let broker: Broker | undefined
    const opened = await attempt(async () => {
      broker = await Broker.open({ storage: on(disk), onError: ({ code }) => progress.refusals.push(code) })
    })
    if (!opened || broker === undefined) continue
    const open: Broker = broker
    if ((await attempt(() => open.topic(orders))) && (await attempt(() => open.topic(keys)))) {
      const producer = open.producer()
      for (let round = 0; round < 4; round++) {
        const value = number++
        await attempt(async () => {
          const { offset } = await producer.send(orders, { value, headers: { padding: 'x'.repeat(300) } })
          progress.sent.set(offset, value)
        })
        await attempt(() => producer.send(keys, { key: `key-${round % 2}`, value }))
      }
      const offset = Math.max(-1, ...progress.sent.keys()) + 1
      await attempt(async () => {
        await open.resetOffsets('billing', { offset }, { topics: [orders] })
        progress.committed = offset
      })
      await attempt(() => open.compact(keys))
      progress.ordersStart = offset
      await attempt(() => open.applyRetention(orders))
      const start = (await open.metrics()).topics.orders?.[0]?.logStartOffset
      if (start !== undefined) progress.ordersStart = start
    }
    await attempt(() => open.close())
  }
}

function on(disk: SimulatedFileSystem): FileStorage {
  return new FileStorage('/data', { fileSystem: disk, segmentBytes: 600 })
}

/**
 * Runs the app on a disk of which the call with that number fails, `once` or from then on until the app is at its end.
 * Throws where something that was acknowledged is not there afterwards, or a file was left open. Returns false once there
 * is no such call.
 */
export async function failsWell(failing: number, fault: DiskFault, how: 'once' | 'from then on'): Promise<boolean> {
  const disk = new SimulatedFileSystem()
  let calls = 0
  disk.plan = () => {
    const call = calls++
    return call === failing || (call > failing && how === 'from then on') ? fault : undefined
  }
  const progress: Progress = { sent: new Map(), ordersStart: 0, committed: 0, refusals: [] }
  await app(disk, progress)
  if (disk.openFiles > 0) throw new Error(`call ${failing}: ${disk.openFiles} files are open`)
  disk.plan = () => undefined
  for (const after of [disk, disk.crash()]) {
    const broker = await Broker.open({ storage: on(after) })
    const found = new Map<number, number>()
    if (progress.sent.size > 0) {
      for await (const { offset, value } of broker.reader(orders, { until: 'end' })) found.set(offset, value)
    }
    for (const [offset, value] of progress.sent) {
      if (offset >= progress.ordersStart && found.get(offset) !== value) {
        throw new Error(`call ${failing}: at ${offset} there is ${found.get(offset)} and not ${value}`)
      }
    }
    if (progress.committed > 0) {
      const { lag } = await broker.describeGroup('billing')
      const committed = lag.find(({ topic }) => topic === 'orders')?.committedOffset
      if ((committed ?? -1) < progress.committed) {
        throw new Error(`call ${failing}: ${committed} is committed, and ${progress.committed} was`)
      }
    }
    await broker.close()
  }
  return failing < calls
}
