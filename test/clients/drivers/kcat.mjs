// kcat, the command of librdkafka. It makes, alters and deletes no topics, tells no lag, and sends no empty value but null.
import { createHash } from 'node:crypto'
import { follow, run } from '../processes.mjs'

export function kcatDriver(command, bootstrapServers) {
  const kcat = (args, options) => run(command, ['-b', bootstrapServers, '-q', ...args], options)
  const metadata = async (...args) => JSON.parse((await kcat(['-L', '-J', ...args])).stdout)
  const read = ({ topic, partition = 0, from, count }, ...format) =>
    kcat(['-C', '-t', topic, '-p', String(partition), '-o', startOf(from), '-c', String(count), ...format])

  return {
    codecs: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
    emptyValues: false,
    consumeFromTime: true,
    listTopics: async () => (await metadata()).topics.map(({ topic }) => topic),
    describeTopic: async ({ topic }) => ({ partitions: (await metadata('-t', topic)).topics[0].partitions.length }),
    /** One call a record, since a call takes one set of headers, and a key or none. */
    produce: async ({ topic, codec = 'none', records }) => {
      for (const { key, value, headers = {}, partition = -1 } of records) {
        const of = ['-P', '-t', topic, '-p', String(partition), '-z', codec]
        for (const [name, text] of Object.entries(headers)) of.push('-H', `${name}=${text}`)
        // It skips an empty line, but not one that has a key.
        if (value === null) of.push('-Z')
        const isKeyed = key !== undefined && key !== null
        if (isKeyed) of.push('-K', '\t')
        await kcat(of, { input: `${isKeyed ? `${key}\t` : ''}${value ?? ''}\n` })
      }
    },
    consume: async (request) => (await read(request, '-J')).stdout.trim().split('\n').map(recordOf),
    produceMany: ({ topic, count }) =>
      kcat(['-P', '-t', topic, '-p', '0'], {
        input: Array.from({ length: count }, (_, index) => `${index}:${'x'.repeat(index % 100)}\n`).join(''),
      }),
    checksum: async ({ topic, count }) =>
      createHash('sha256')
        .update((await read({ topic, from: 'beginning', count })).stdout)
        .digest('hex'),
    join: async ({ group, topic }) => {
      const records = []
      const member = follow(
        command,
        [
          ...['-b', bootstrapServers, '-q', '-u', '-J', '-G', group],
          // Without -E it ends when it has lost all brokers, and there is but one.
          '-E',
          ...['-X', 'auto.offset.reset=earliest', '-X', 'session.timeout.ms=6000', '-X', 'heartbeat.interval.ms=500'],
          topic,
        ],
        { onLine: (line) => records.push(recordOf(line)) },
      )
      return { records, leave: member.stop, kill: member.kill }
    },
    close: async () => {},
  }
}

function startOf(from) {
  return from.timestamp === undefined ? String(from) : `s@${from.timestamp}`
}

function recordOf(line) {
  const { partition, offset, ts, headers = [], key, payload } = JSON.parse(line)
  const named = {}
  for (let index = 0; index < headers.length; index += 2) named[headers[index]] = headers[index + 1]
  return { partition, offset, timestamp: ts, headers: named, key, value: payload }
}
