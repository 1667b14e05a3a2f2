// Kafka's own command-line tools. `tools` tells the class of each by the name of its script, and `properties` what the
// options for properties are called, which was not always the same.
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { follow, run } from '../processes.mjs'
import { classicWalk } from './classic-walk.mjs'

// A tool lives for a second or two: it is not worth the optimising compiler, nor threads that collect garbage.
const JVM = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
const NULL = '<null>'
const FORMATTED = [
  ...['timestamp', 'partition', 'offset', 'headers', 'key', 'value'].map((part) => `print.${part}=true`),
  `null.literal=${NULL}`,
]

export function kafkaToolsDriver(classPath, broker, { tools, properties }) {
  const java = (name, args) => [...JVM, '-cp', classPath, tools[name], ...args]
  const tool = (name, args, options) => run('java', java(name, args), options)
  const bootstrap = ['--bootstrap-server', broker.bootstrapServers]
  const consumerArguments = (request) => [
    ...bootstrap,
    ...['--topic', request.topic, '--partition', String(request.partition ?? 0)],
    ...['--offset', String(request.from), '--max-messages', String(request.count)],
  ]
  const withOffset = async (request) => {
    const from = { beginning: 'earliest', end: 'latest' }[request.from] ?? request.from
    if (from.timestamp === undefined) return { ...request, from }
    const { stdout } = await tool('kafka-get-offsets', [
      ...bootstrap,
      ...['--topic', request.topic, '--time', String(from.timestamp)],
    ])
    return { ...request, from: stdout.trim().split(':')[2] }
  }

  return {
    codecs: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
    emptyValues: true,
    consumeFromTime: true,
    createTopic: ({ topic, partitions, config = {} }) =>
      tool('kafka-topics', [
        ...bootstrap,
        ...['--create', '--topic', topic, '--partitions', String(partitions)],
        ...Object.entries(config).flatMap(([name, value]) => ['--config', `${name}=${value}`]),
      ]),
    describeTopic: async ({ topic }) => {
      const { stdout } = await tool('kafka-topics', [...bootstrap, '--describe', '--topic', topic])
      const [, partitions, configs] = /PartitionCount: ?(\d+).*Configs: ?(\S*)/.exec(stdout)
      return { partitions: Number(partitions), config: Object.fromEntries(configs.split(',').map((c) => c.split('='))) }
    },
    listTopics: async () => (await tool('kafka-topics', [...bootstrap, '--list'])).stdout.split('\n'),
    alterTopic: async ({ topic, partitions, config }) => {
      if (partitions !== undefined) {
        await tool('kafka-topics', [...bootstrap, '--alter', '--topic', topic, '--partitions', String(partitions)])
      }
      if (config === undefined) return
      const added = Object.entries(config).map(([name, value]) => `${name}=${value}`)
      await tool('kafka-configs', [
        ...bootstrap,
        ...['--alter', '--entity-type', 'topics', '--entity-name', topic, '--add-config', added.join(',')],
      ])
    },
    deleteTopic: ({ topic }) => tool('kafka-topics', [...bootstrap, '--delete', '--topic', topic]),
    produce: async ({ topic, codec = 'none', records }) => {
      const { all } = await tool(
        'kafka-console-producer',
        [
          ...[...bootstrap, '--topic', topic, '--compression-codec', codec],
          ...['parse.headers=true', 'parse.key=true', `null.marker=${NULL}`].flatMap((one) => [properties.reader, one]),
        ],
        { input: records.map(lineOf).join('') },
      )
      // It goes on after a message that was refused, and exits with 0.
      if (/Error when sending message|Exception/.test(all)) throw new Error(all)
    },
    consume: async (request) => {
      const { stdout } = await tool('kafka-console-consumer', [
        ...consumerArguments(await withOffset(request)),
        ...FORMATTED.flatMap((one) => [properties.formatter, one]),
      ])
      return stdout.trimEnd().split('\n').map(recordOf)
    },
    produceMany: ({ topic, count }) =>
      tool('kafka-console-producer', [...bootstrap, '--topic', topic], {
        input: Array.from({ length: count }, (_, index) => `${index}:${'x'.repeat(index % 100)}\n`).join(''),
      }),
    checksum: async ({ topic, count }) => {
      const { stdout } = await tool('kafka-console-consumer', consumerArguments({ topic, from: 'earliest', count }))
      return createHash('sha256').update(stdout).digest('hex')
    },
    join: async ({ group, topic }) => {
      const records = []
      const member = follow(
        'java',
        java('kafka-console-consumer', [
          ...[...bootstrap, '--topic', topic, '--group', group, '--from-beginning'],
          ...['session.timeout.ms=6000', 'heartbeat.interval.ms=500'].flatMap((one) => [properties.consumer, one]),
          ...FORMATTED.flatMap((one) => [properties.formatter, one]),
        ]),
        { onLine: (line) => records.push(recordOf(line)) },
      )
      return { records, leave: member.stop, kill: member.kill }
    },
    lag: async ({ group, topic }) => {
      const { stdout } = await tool('kafka-consumer-groups', [...bootstrap, '--describe', '--group', group])
      const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/))
      const heading = rows.find((row) => row.includes('LAG'))
      const ofTopic = rows.filter((row) => row[heading.indexOf('TOPIC')] === topic)
      return ofTopic.reduce((sum, row) => sum + Number(row[heading.indexOf('LAG')]), 0)
    },
    deleteOffsets: async ({ group, topic }) => {
      const { all } = await tool('kafka-consumer-groups', [
        ...[...bootstrap, '--delete-offsets', '--group', group, '--topic', topic],
      ])
      if (!/Successful/.test(all)) throw new Error(all)
    },
    deleteRecords: async ({ topic, partition, offset }) => {
      const directory = mkdtempSync(join(tmpdir(), 'ottla-clients-'))
      const file = join(directory, 'offsets.json')
      writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic, partition, offset }] }))
      try {
        await tool('kafka-delete-records', [...bootstrap, '--offset-json-file', file])
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    },
    ...('kafka-producer-perf-test' in tools && {
      performance: async ({ topic, count }) => {
        await tool('kafka-producer-perf-test', [
          ...['--topic', topic, '--num-records', String(count), '--record-size', '100', '--throughput', '-1'],
          ...['--producer-props', `bootstrap.servers=${broker.bootstrapServers}`],
        ])
        const { stdout } = await tool('kafka-consumer-perf-test', [
          ...[...bootstrap, '--topic', topic, '--num-records', String(count)],
        ])
        const [heading, values] = stdout.trim().split('\n').slice(-2)
        const read = Number(
          values.split(',')[heading.split(',').findIndex((name) => name.trim() === 'data.consumed.in.nMsg')],
        )
        if (read < count) throw new Error(`the consumer read ${read} of ${count}:\n${stdout}`)
      },
    }),
    walk: ({ startBroker }) => classicWalk(tool, broker, startBroker),
    close: async () => {},
  }
}

function lineOf({ key = null, value, headers = {} }) {
  const named = Object.entries(headers).map(([name, text]) => `${name}:${text}`)
  return `${named.length === 0 ? NULL : named.join(',')}\t${key ?? NULL}\t${value ?? NULL}\n`
}

function recordOf(line) {
  const [time, partition, offset, headers, key, ...value] = line.split('\t')
  const named = headers === 'NO_HEADERS' ? [] : headers.split(',').map((header) => header.split(':'))
  const text = value.join('\t')
  return {
    timestamp: Number(time.split(':')[1]),
    partition: Number(partition.split(':')[1]),
    offset: Number(offset.split(':')[1]),
    headers: Object.fromEntries(named),
    key: key === NULL ? null : key,
    value: text === NULL ? null : text,
  }
}
