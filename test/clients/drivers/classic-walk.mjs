// What a classic introduction to Kafka walks through, with Kafka's tools: a broker from a server.properties, a topic, lines in,
// lines out, and all of it again after the broker was stopped and started.
import assert from 'node:assert/strict'

const PROPERTIES = `
broker.id=0
listeners=PLAINTEXT://:@PORT@
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=@DIRECTORY@/logs
num.partitions=2
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
group.initial.rebalance.delay.ms=0
`

const TOPIC = 'quickstart-events'
const LINES = ['Paris', 'Oslo', 'Ljubljana', 'Praha']

let earlier = Promise.resolve()

/**
 * Against a real Kafka, which cannot be stopped from here, the walk leaves the stop out. One walk goes after the other,
 * since the topic has the same name in each.
 */
export function classicWalk(tool, foreign, startBroker) {
  const walked = earlier.then(async () => {
    const broker = foreign.restart === undefined ? foreign : await startBroker('walk', PROPERTIES)
    try {
      await walk(tool, broker)
    } finally {
      if (broker !== foreign) await broker.close()
    }
  })
  earlier = walked.catch(() => undefined)
  return walked
}

async function walk(tool, broker) {
  const server = ['--bootstrap-server', broker.bootstrapServers]
  const topics = (...args) => tool('kafka-topics', [...args, ...server])
  const produce = (lines) =>
    tool('kafka-console-producer', ['--topic', TOPIC, ...server], { input: lines.map((line) => `${line}\n`).join('') })
  // --timeout-ms lets it end when nothing has come for that long, where a reader would press Ctrl+C.
  const consume = async (count, ...args) => {
    const limit = count === undefined ? ['--timeout-ms', '6000'] : ['--max-messages', String(count)]
    const { stdout } = await tool('kafka-console-consumer', ['--topic', TOPIC, ...args, ...server, ...limit], {
      exitCode: 'any',
    })
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .sort()
  }
  const partitions = async () => {
    const { stdout } = await topics('--describe', '--topic', TOPIC)
    const leaders = stdout.match(/Partition: \d+\s+Leader: \d+/g) ?? []
    assert.match(stdout, new RegExp(`PartitionCount: ${leaders.length}\\s+ReplicationFactor: 1`))
    return leaders.length
  }

  await topics('--create', '--topic', TOPIC)
  assert.equal(await partitions(), broker.restart === undefined ? 1 : 2, 'num.partitions decides')
  await topics('--delete', '--topic', TOPIC)

  const refused = await tool(
    'kafka-topics',
    ['--create', '--topic', TOPIC, '--partitions', '3', '--replication-factor', '2', ...server],
    { exitCode: 1 },
  )
  assert.match(refused.all, /InvalidReplicationFactorException/)
  assert.match(refused.all, /replication factor of 2 cannot be reached because only 1 broker\(s\) are registered/)

  await topics('--create', '--topic', TOPIC, '--partitions', '3', '--replication-factor', '1')
  assert.equal(await partitions(), 3)

  await produce(LINES)
  assert.deepEqual(await consume(LINES.length, '--from-beginning'), [...LINES].sort())
  assert.deepEqual(await consume(LINES.length, '--from-beginning', '--group', 'walkers'), [...LINES].sort())

  if (broker.restart !== undefined) {
    await broker.restart()
    assert.equal(await partitions(), 3)
    assert.deepEqual(await consume(LINES.length, '--from-beginning'), [...LINES].sort(), 'the lines are still there')
  }
  await produce(['Trieste'])
  assert.deepEqual(await consume(1, '--from-beginning', '--group', 'walkers'), ['Trieste'], 'the group goes on')
  await topics('--delete', '--topic', TOPIC)
}
