import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { ConfigResourceTypes, type Consumer, Kafka, logLevel } from 'kafkajs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { metadata } from '../../src/protocol/messages/metadata.js'
import { offsetCommit } from '../../src/protocol/messages/offset-commit.js'
import { WireClient } from '../wire/wire-client.js'
import { type CliProcess, commandLine, folders, root } from './cli-process.js'

const run = commandLine()
const folder = folders()

const ANY_PORT = 'listeners=PLAINTEXT://127.0.0.1:0'

/** Starts a server in a folder, with the lines as its file and any free port unless they say otherwise. */
function start(cwd: string, lines: readonly string[] = [], args: readonly string[] = []): CliProcess {
  writeFileSync(join(cwd, 'server.properties'), [ANY_PORT, 'log.dirs=data', ...lines].join('\n'))
  return run(cwd, ['server-start', 'server.properties', ...args])
}

async function clientOf(server: CliProcess): Promise<Kafka> {
  return new Kafka({ brokers: [await server.bootstrapServers()], logLevel: logLevel.NOTHING, retry: { retries: 0 } })
}

/** The values of the next `count` messages that the member gets; it has left by then. */
async function take(consumer: Consumer, topic: string, count: number): Promise<string[]> {
  const values: string[] = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    const eachMessage = async ({ message }: { message: { value: Buffer | null } }): Promise<void> => {
      values.push(String(message.value))
      if (values.length === count) resolve()
    }
    consumer.run({ eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  return values
}

/** What `describe` says of a topic that is created without more than its name, and where its partitions lie. */
async function createTopic(server: CliProcess, topic: string): Promise<number> {
  const admin = (await clientOf(server)).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic }], waitForLeaders: true })
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  await admin.disconnect()
  return topics[0]?.partitions.length ?? 0
}

/** A server that must not start: what it says, on stderr alone but for what it set out to do. */
async function failure(server: CliProcess): Promise<string> {
  expect(await server.ended).toBe(1)
  expect(server.stdout).not.toContain('Listening')
  expect(server.stderr).not.toMatch(/^\s+at /m)
  return server.stderr
}

describe('a server that is started', () => {
  it('lists each key with what became of it, and then says where it listens', async () => {
    const lines = [
      'broker.id=0',
      'num.io.threads=8',
      'num.partitions=3',
      'log.retention.hours=168',
      'log.retention.ms=5000',
      'zookeeper.connect=localhost:2181',
      'num.partitoins=4',
      'ssl.keystore.password=secret',
    ]
    const server = start(folder(), lines, ['--override', 'num.partitions=2', '--override', 'log.dirs=a'])
    await server.bootstrapServers()
    expect(await server.stop()).toBe(0)
    expect(server.stderr).toBe('')
    expect(server.stdout.split('\n').slice(1, 14)).toEqual([
      'server.properties:',
      '  listeners=PLAINTEXT://127.0.0.1:0: used',
      '  log.dirs=data: without effect, because --override sets it again',
      '  broker.id=0: used',
      "  num.io.threads=8: without effect, because Node's own threads read and write, several partitions at once",
      '  num.partitions=3: without effect, because --override sets it again',
      '  log.retention.hours=168: without effect, because log.retention.ms is set too',
      '  log.retention.ms=5000: used',
      '  zookeeper.connect=localhost:2181: without effect, because topics and configs are kept in the log __cluster_metadata, not in ZooKeeper',
      '  num.partitoins=4: unknown to Kafka 4.2 and to ottla; did you mean num.partitions?',
      '  ssl.keystore.password=[hidden]: without effect, because no listener speaks TLS',
      '--override:',
      '  num.partitions=2: used',
    ])
  })

  it("takes Kafka's defaults and ./ottla-logs where there is no file", async () => {
    const cwd = folder()
    const server = run(cwd, ['server-start', '--override', ANY_PORT])
    expect(await createTopic(server, 'notes')).toBe(1)
    const kafka = await clientOf(server)
    const admin = kafka.admin()
    await admin.connect()
    const type = ConfigResourceTypes.TOPIC
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type, name: 'notes', configNames: ['retention.ms'] }],
    })
    const DEFAULT_CONFIG = 5
    expect(resources[0]?.configEntries).toMatchObject([{ configValue: '604800000', configSource: DEFAULT_CONFIG }])
    await admin.disconnect()
    const wire = await WireClient.to(Number((await server.bootstrapServers()).split(':').at(-1)))
    const partitions = [{ partitionIndex: 0, committedOffset: 0, committedMetadata: null }]
    await wire.request(offsetCommit, 9, { groupId: 'readers', topics: [{ name: 'notes', partitions }] })
    wire.socket.destroy()
    expect(await server.stop()).toBe(0)
    const names = readdirSync(join(cwd, 'ottla-logs'))
    expect(names.filter((name) => name.startsWith('__consumer_offsets-'))).toHaveLength(50)
    expect(server.stdout).toContain("There is no config/server.properties: Kafka's defaults hold.\n")
    expect(existsSync(join(cwd, 'ottla-logs', 'notes-0'))).toBe(true)
  })

  it('takes the file in config, and uses every key of ours', async () => {
    const cwd = folder()
    mkdirSync(join(cwd, 'config'))
    copyFileSync(join(root, 'config/server.properties'), join(cwd, 'config/server.properties'))
    const server = run(cwd, ['server-start', '--override', ANY_PORT])
    await server.bootstrapServers()
    expect(await server.stop()).toBe(0)
    const [, ofTheFile = ''] = /^config\/server\.properties:\n((?: {2}.*\n)*)--override:/m.exec(server.stdout) ?? []
    const unused = ofTheFile.split('\n').filter((line) => line !== '' && !line.endsWith(': used'))
    expect(ofTheFile).toContain('num.partitions=1: used')
    expect(unused).toEqual(['  listeners=PLAINTEXT://127.0.0.1:9092: without effect, because --override sets it again'])
  })

  it('keeps topics, messages and the place of a group when it is started again', async () => {
    const cwd = folder()
    const lines = ['num.partitions=3', 'group.initial.rebalance.delay.ms=0', 'broker.id=7']
    const first = start(cwd, lines)
    expect(await createTopic(first, 'notes')).toBe(3)
    const kafka = await clientOf(first)
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({
      topic: 'notes',
      messages: [
        { key: 'k', value: 'one' },
        { key: 'k', value: 'two' },
      ],
    })
    await producer.disconnect()
    expect(await take(kafka.consumer({ groupId: 'readers' }), 'notes', 2)).toEqual(['one', 'two'])
    expect(await first.stop()).toBe(0)

    const second = start(cwd, lines)
    const again = await clientOf(second)
    const admin = again.admin()
    await admin.connect()
    expect(await admin.listTopics()).toContain('notes')
    expect((await admin.describeCluster()).brokers.map(({ nodeId }) => nodeId)).toEqual([7])
    await admin.disconnect()
    const later = again.producer()
    await later.connect()
    await later.send({ topic: 'notes', messages: [{ key: 'k', value: 'three' }] })
    await later.disconnect()
    expect(await take(again.consumer({ groupId: 'readers' }), 'notes', 1)).toEqual(['three'])
    expect(await take(again.consumer({ groupId: 'others' }), 'notes', 3)).toEqual(['one', 'two', 'three'])
    expect(await second.stop()).toBe(0)
  })

  it('spreads partitions over the directories in log.dirs', async () => {
    const cwd = folder()
    const server = start(cwd, ['log.dirs=a,b,C:/dev/logs', 'num.partitions=6'])
    await createTopic(server, 'notes')
    await server.stop()
    const partitions = ['a', 'b', 'C:/dev/logs'].map((directory) =>
      readdirSync(join(cwd, directory)).filter((name) => name.startsWith('notes-')),
    )
    // The broker's own log of topics lies in the first.
    expect(partitions.map(({ length }) => length)).toEqual([2, 2, 2])
  })

  it('listens where each listener says, and tells clients what is advertised', async () => {
    const server = start(folder(), [
      'process.roles=broker,controller',
      'node.id=4',
      'controller.quorum.voters=4@localhost:9093',
      'controller.listener.names=CONTROLLER',
      'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'listeners=PLAINTEXT://:0,INTERNAL://127.0.0.1:0,CONTROLLER://:9093',
      'advertised.listeners=PLAINTEXT://kafka.example.com:9,INTERNAL://:0',
    ])
    const everywhere = await server.printed(
      /^Listening on (\S+) and on all other addresses .* \(PLAINTEXT\), .* kafka\.example\.com:9$/m,
    )
    const internal = await server.printed(/^Listening on (\S+) \(INTERNAL\)/m)
    const told = await Promise.all(
      [everywhere, internal].map(async (servers) => {
        const client = await WireClient.to(Number(servers.split(':')[1]))
        const { brokers } = await client.request(metadata, 1, { topics: [] })
        await client[Symbol.asyncDispose]()
        return brokers.map(({ nodeId, host, port }) => `${nodeId} ${host}:${port}`)
      }),
    )
    expect(told).toEqual([['4 kafka.example.com:9'], [`4 ${internal}`]])
    expect(await server.stop()).toBe(0)
  })

  it('lets clients neither create topics by asking nor delete them, where the file says so', async () => {
    const server = start(folder(), ['auto.create.topics.enable=false', 'delete.topic.enable=false'])
    await createTopic(server, 'notes')
    const kafka = await clientOf(server)
    const admin = kafka.admin()
    await admin.connect()
    await expect(admin.deleteTopics({ topics: ['notes'] })).rejects.toThrow()
    const producer = kafka.producer()
    await producer.connect()
    await expect(producer.send({ topic: 'none', messages: [{ value: 'a' }] })).rejects.toThrow(/topic/)
    expect(await admin.listTopics()).toEqual(['notes'])
    await admin.disconnect()
    await producer.disconnect()
    await server.stop()
  })

  it('says what it repaired after a crash', async () => {
    const cwd = folder()
    const crashed = start(cwd)
    await createTopic(crashed, 'notes')
    crashed.kill('SIGKILL')
    expect(await crashed.ended).toBe('SIGKILL')
    writeFileSync(join(cwd, 'data/notes-0/00000000000000000000.log'), 'half a batch')
    const server = start(cwd)
    await server.bootstrapServers()
    expect(server.stdout).toMatch(/^Repaired notes-0: 12 bytes were cut off .*; the log ends at offset 0 now$/m)
    expect(await server.stop()).toBe(0)
  })
})

describe('a signal', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('closes in order: %s', async (signal) => {
    const cwd = folder()
    const server = start(cwd)
    await server.bootstrapServers()
    server.kill(signal)
    expect(await server.ended).toBe(0)
    expect(server.stdout).toMatch(new RegExp(`Closing: ${signal}.*\\n.* Closed\\.\\n$`))
    expect(existsSync(join(cwd, 'data/clean-shutdown.json'))).toBe(true)
  })

  it('closes in order while the server is still opening', async () => {
    const cwd = folder()
    const server = start(cwd)
    await server.printed(/^ottla /)
    server.kill('SIGTERM')
    expect(await server.ended).toBe(0)
    expect(existsSync(join(cwd, 'data/clean-shutdown.json'))).toBe(true)
  })

  it('ends at once where it is the second', async () => {
    // Each door waits a while for a client that does not hang up.
    const names = Array.from({ length: 20 }, (_, index) => `L${index}`)
    const server = start(folder(), [
      `listeners=${names.map((name) => `${name}://127.0.0.1:0`).join(',')}`,
      `listener.security.protocol.map=${names.map((name) => `${name}:PLAINTEXT`).join(',')}`,
    ])
    await server.printed(/\(L19\)/)
    for (const [, port] of server.stdout.matchAll(/Listening on 127\.0\.0\.1:(\d+)/g)) {
      const client = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
      onTestFinished(() => void client.destroy())
      client.on('error', () => undefined)
      await new Promise((resolve) => client.once('connect', resolve))
    }
    server.kill('SIGINT')
    await server.printed(/Closing: SIGINT/)
    server.kill('SIGTERM')
    expect(await server.ended).toBe(143)
    expect(server.stdout).not.toContain('Closed.')
  })
})

describe('a server that cannot be started', () => {
  it('says what is wrong in the file, line by line, and touches nothing', async () => {
    const cwd = folder()
    const server = start(cwd, ['num.partitions=0', '', 'log.segment.bytes=1k'], ['--override', 'num.io.threads=0'])
    expect(await failure(server)).toBe(
      "server.properties, line 3: num.partitions cannot be '0': it takes an integer from 1 to 2147483647.\n" +
        "server.properties, line 5: log.segment.bytes cannot be '1k': it takes an integer from 1048576 to 2147483647.\n" +
        "--override: num.io.threads cannot be '0': it takes an integer from 1 to 2147483647.\n",
    )
    expect(readdirSync(cwd)).toEqual(['server.properties'])
  })

  it('says which line is no property', async () => {
    expect(await failure(start(folder(), ['a=\\u12']))).toBe(
      'server.properties, line 3: Behind \\u there have to be four hexadecimal digits.\n',
    )
  })

  it('says that there is no such file, or that it is none', async () => {
    const cwd = folder()
    expect(await failure(run(cwd, ['server-start', 'none.properties']))).toBe('There is no file none.properties.\n')
    expect(await failure(run(cwd, ['server-start', cwd]))).toBe(`${cwd} is a directory: name a file.\n`)
  })

  it('says that the port is in use, and lets go of the directory', async () => {
    const taken = createServer()
    onTestFinished(() => void taken.close())
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const address = taken.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const cwd = folder()
    expect(await failure(start(cwd, [`listeners=PLAINTEXT://127.0.0.1:${port}`]))).toBe(
      `The port is in use (127.0.0.1, port ${port}): stop the program that has it, or choose another port in listeners.\n`,
    )
    expect(existsSync(join(cwd, 'data/clean-shutdown.json'))).toBe(true)
  })

  it('says that the address is not one of this machine', async () => {
    expect(await failure(start(folder(), ['listeners=PLAINTEXT://192.0.2.1:0']))).toBe(
      'This machine has no such address (192.0.2.1, port 0): name another host in listeners, or none.\n',
    )
  })

  it('says who holds the directory', async () => {
    const cwd = folder()
    const holder = start(cwd)
    await holder.bootstrapServers()
    const sentence = `The directory ${join(cwd, 'data')} is held by process ${holder.pid} since `
    expect(await failure(start(cwd))).toMatch(new RegExp(`^${sentence}.*\\.\\n$`))
    expect(await holder.stop()).toBe(0)
  })

  it('says that the directory cannot be made', async () => {
    const cwd = folder()
    expect(await failure(start(cwd, ['log.dirs=server.properties/logs']))).toMatch(
      /^Opening .*server\.properties\/logs failed \(ENOTDIR\)\. Check the disk and the permissions\.\n$/,
    )
  })

  it.skipIf(process.getuid?.() === 0)('says that the directory cannot be written to', async () => {
    const cwd = folder()
    mkdirSync(join(cwd, 'data'))
    chmodSync(join(cwd, 'data'), 0o500)
    onTestFinished(() => chmodSync(join(cwd, 'data'), 0o700))
    expect(await failure(start(cwd))).toContain('cannot be written to')
  })

  // Not even root writes there, which a test run as root would to any other directory.
  it.skipIf(!existsSync('/sys/kernel'))('says that no directory can be made there', async () => {
    expect(await failure(start(folder(), ['log.dirs=/sys/kernel/ottla']))).toMatch(
      /^Opening \/sys\/kernel\/ottla failed \(\w+\)\. Check the disk and the permissions\.\n$/,
    )
  })

  it('says that a directory belongs to an Apache Kafka', async () => {
    const cwd = folder()
    mkdirSync(join(cwd, 'data'))
    writeFileSync(join(cwd, 'data/meta.properties'), 'version=1')
    expect(await failure(start(cwd))).toContain('belongs to an Apache Kafka')
  })
})

describe('a server in the background', () => {
  it('listens when the command is over, writes into a file that is named, and closes on a signal', async () => {
    const cwd = folder()
    const command = start(cwd, ['num.partitions=2'], ['-daemon', '--override', 'node.id=5'])
    expect(await command.ended).toBe(0)
    const [, servers = '', pid] =
      /^Listening on (\S+) as process (\d+): kill \2 closes it\.$/m.exec(command.stdout) ?? []
    onTestFinished(() => killIfThere(Number(pid)))
    const file = join(cwd, 'logs/ottla-server.out')
    expect(command.stdout).toContain(`Its output goes to ${file}\n`)

    const admin = new Kafka({ brokers: [servers], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    expect((await admin.describeCluster()).controller).toBe(5)
    await admin.disconnect()
    process.kill(Number(pid), 'SIGTERM')
    await written(file, /Closed\.\n$/)
    expect(readFileSync(file, 'utf8')).toContain('  num.partitions=2: used\n')
  })

  it('is said not to have started, with the reason, and its output is where LOG_DIR says', async () => {
    const cwd = folder()
    const command = run(cwd, ['server-start', '-daemon', '--override', 'num.partitions=0'], { LOG_DIR: 'out' })
    expect(await failure(command)).toBe(
      "--override: num.partitions cannot be '0': it takes an integer from 1 to 2147483647.\n" +
        `The output is in ${join(cwd, 'out/ottla-server.out')}\n`,
    )
  })
})

/** Waits until a file's content is as wanted. */
async function written(file: string, pattern: RegExp): Promise<void> {
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (!pattern.test(readFileSync(file, 'utf8'))) return
      watcher.close()
      resolve()
    }
    const watcher = watch(file, look)
    look()
  })
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
