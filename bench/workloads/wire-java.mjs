import { spawnSync } from 'node:child_process'
import { kafkaClassPath } from '../../test/clients/installation.mjs'
import { againstKafka, openBrokers, sideBySide } from './peers/wire-brokers.mjs'

const COUNT = 500_000

export const workload = {
  name: 'wire-java',
  title: "Kafka's own performance tools",
  settings: [
    '500,000 messages of 100 B, a topic of one partition, throughput -1, the settings of the tools',
    'kafka-producer-perf-test: its own records/sec; kafka-consumer-perf-test: its own nMsg.sec of fetching',
    'ottla: `ottla server-start` on files, durability "os" as with Kafka',
    'Apache Kafka: broker and controller in one process, -Xmx1G',
    'resident memory: VmRSS of the broker after a repetition; all repetitions are with one process',
  ],
  rows: [
    againstKafka('producer', { id: '108', label: "Java's perf producer", better: 'higher', unit: 'msg/s', goal: 1 }),
    againstKafka('consumer', { id: '109', label: "Java's perf consumer", better: 'higher', unit: 'msg/s', goal: 1 }),
    againstKafka('memory', {
      id: '113',
      label: 'resident memory after the perf tools',
      better: 'lower',
      unit: 'bytes',
      goal: 0.25,
    }),
  ],
  tables: [
    sideBySide("Kafka's performance tools with each broker", {
      producer: 'perf producer, msg/s',
      consumer: 'perf consumer, msg/s',
      memory: 'resident memory afterwards, bytes',
    }),
  ],
  repetitions: 5,
  warmups: 1,
  async open({ directory }) {
    const classPath = await kafkaClassPath()
    const { brokers, close } = await openBrokers(directory)
    const tool = (name, args) => {
      const java = [
        '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
        '-cp',
        classPath,
        `org.apache.kafka.tools.${name}`,
      ]
      const { status, stdout, stderr } = spawnSync('java', [...java, ...args], { encoding: 'utf8' })
      if (status !== 0) throw new Error(`${name} ended with ${status}\n${stdout}${stderr}`)
      return stdout.trim().split('\n')
    }
    let round = 0
    const contenders = Object.fromEntries(
      brokers.map(({ name, bootstrapServers, residentBytes }) => [
        name,
        () => {
          const topic = `perf-${round++}`
          const produced = tool('ProducerPerformance', [
            ...['--topic', topic, '--num-records', String(COUNT), '--record-size', '100', '--throughput', '-1'],
            ...['--producer-props', `bootstrap.servers=${bootstrapServers}`],
          ])
          const [, sent, producer] = /^(\d+) records sent, ([\d.]+) records\/sec/.exec(produced.at(-1)) ?? []
          if (Number(sent) !== COUNT) throw new Error(`${name}: ${produced.at(-1)}`)
          const consumed = tool('ConsumerPerformance', [
            ...['--bootstrap-server', bootstrapServers, '--topic', topic, '--num-records', String(COUNT)],
          ])
          const [heading, line] = consumed.slice(-2).map((each) => each.split(',').map((cell) => cell.trim()))
          const cell = (column) => Number(line[heading.indexOf(column)])
          if (!(cell('data.consumed.in.nMsg') >= COUNT)) throw new Error(`${name}: ${consumed.join('\n')}`)
          return { values: { producer: Number(producer), consumer: cell('fetch.nMsg.sec'), memory: residentBytes() } }
        },
      ]),
    )
    return { contenders, close }
  },
}
