import { expect, it } from 'vitest'
import { runModule } from '../rulings/child-process.js'
import { temporaryDirectories } from '../storage/file/file-rig.js'

const directory = temporaryDirectories()
const GIB = 2 ** 30
/** How much is sent; OTTLA_BACKLOG_GIB says more where the disk has the room. */
const BACKLOG_BYTES = Number(process.env.OTTLA_BACKLOG_GIB ?? 1) * GIB

it('a group that is paused over a large backlog takes no memory for it', async () => {
  const { exitCode, stdout, stderr } = await runModule(
    `import { Broker, bytes, FileStorage, Topic } from 'ottla'
    const storage = new FileStorage(${JSON.stringify(directory())}, { durability: 'os' })
    const broker = await Broker.open({ storage })
    const orders = await broker.topic(new Topic('orders', { value: bytes() }))
    const producer = broker.producer()
    const value = new Uint8Array(100_000)
    let handled = 0
    const group = broker.consumerGroup('billing', { topics: [orders] })
    await group.run(() => { handled++ })
    await producer.send(orders, { value })
    await broker.idle()
    group.pause()
    const backlog = Math.ceil(${BACKLOG_BYTES} / value.length)
    const resident = []
    for (let sent = 0; sent < backlog; sent += 100) {
      await Promise.all(Array.from({ length: 100 }, () => producer.send(orders, { value })))
      if (sent % Math.ceil(backlog / 100) < 100) resident.push(process.memoryUsage().rss)
    }
    const { lag } = await broker.describeGroup('billing')
    console.log(JSON.stringify({ resident, handled, lag: lag[0].lag, backlog }))
    await broker.close()`,
    500_000,
  )
  expect([exitCode, stderr]).toEqual([0, ''])
  const { resident, handled, lag, backlog } = JSON.parse(stdout)
  expect(handled).toBe(1)
  expect(lag).toBeGreaterThanOrEqual(backlog)
  const [early, late] = [Math.max(...resident.slice(0, 20)), Math.max(...resident.slice(-20))]
  console.log(
    `${BACKLOG_BYTES / GIB} GiB: ${early >> 20} MiB resident in its first fifth, ${late >> 20} MiB in its last`,
  )
  // What it took to get going, and a garbage collector that has its own mind.
  expect(late - early).toBeLessThan(64 * 2 ** 20)
})
