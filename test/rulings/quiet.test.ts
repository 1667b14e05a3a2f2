import { describe, expect, it } from 'vitest'
import { temporaryDirectories } from '../storage/file/file-rig.js'
import { runModule } from './child-process.js'

const temporaryDirectory = temporaryDirectories()

/** What a process printed that ended well, and by itself. `$DIRECTORY` is an empty directory. */
async function run(script: string): Promise<string> {
  const imports = `import { Broker, FileStorage, json, MemoryStorage } from 'ottla'\n`
  const directory = JSON.stringify(temporaryDirectory())
  const { exitCode, stdout, stderr } = await runModule(imports + script.replaceAll('$DIRECTORY', directory))
  expect([exitCode, stderr]).toEqual([0, ''])
  return stdout
}

describe('promise: quiet', () => {
  it.each(['new MemoryStorage()', 'new FileStorage($DIRECTORY)'])(
    'a process with an idle broker on %s, its producers and its groups ends by itself',
    async (storage) => {
      const printed = await run(`
        const broker = await Broker.open({ storage: ${storage} })
        const orders = await broker.topic('orders', { partitions: 3, value: json() })
        const producer = broker.producer({ lingerMs: 5 })
        const group = broker.consumerGroup('billing', { topics: [orders] })
        await group.run(({ value }) => console.log('handled', value))
        await producer.send(orders, { value: 1 })
        await broker.idle()
        void broker.reader(orders, { from: 'latest' }).next()
        console.log('idle')
      `)
      expect(printed).toBe('handled 1\nidle\n')
    },
  )

  it('a closed broker leaves nothing behind either', async () => {
    const printed = await run(`
      const broker = await Broker.open({ storage: new FileStorage($DIRECTORY, { durability: 'interval' }) })
      const orders = await broker.topic('orders', { value: json() })
      await broker.producer().send(orders, { value: 1 })
      await broker.close()
      console.log(process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name === 'Immediate').join())
    `)
    expect(printed).toBe('\n')
  })
})

describe('ruling: Quiet', () => {
  it.each([
    ['a linger', '{ lingerMs: 100 }', '{ value: 1 }'],
    ['its turn', '{}', '{ value: 1 }'],
    ['room', '{ maxInFlightBytes: 10 }', '[{ value: 1 }]'],
  ])('sends that wait for %s hold the process', async (_, options, message) => {
    const printed = await run(`
      const broker = await Broker.open({ storage: new FileStorage($DIRECTORY) })
      const orders = await broker.topic('orders', { value: json() })
      const producer = broker.producer(${options})
      for (let n = 0; n < 3; n++) producer.send(orders, ${message}).then(() => console.log('sent', n))
    `)
    expect(printed).toBe('sent 0\nsent 1\nsent 2\n')
  })

  it('a commit that is due holds the process', async () => {
    const printed = await run(`
      const storage = new FileStorage($DIRECTORY)
      const broker = await Broker.open({ storage })
      const orders = await broker.topic('orders', { value: json() })
      await broker.producer().send(orders, { value: 1 })
      await broker.consumerGroup('billing', { topics: [orders], autoCommitIntervalMs: 50 }).run(() => {})
      process.on('exit', () => console.log('end'))
      process.on('beforeExit', async () => {
        if (globalThis.asked) return
        globalThis.asked = true
        console.log((await broker.describeGroup('billing')).lag[0].committedOffset)
      })
    `)
    expect(printed).toBe('1\nend\n')
  })
})
