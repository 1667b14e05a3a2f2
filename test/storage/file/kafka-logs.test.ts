import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FileStorage, string, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { brokers, contentsOf, refusal } from '../../client/brokers.js'
import { temporaryDirectories } from './file-rig.js'

const openBroker = brokers()
const directory = temporaryDirectories()

// Made by scripts/make-kafka-fixture.mjs.
const fixture = fileURLToPath(new URL('../../fixtures/kafka-4.2', import.meta.url))

type Line = readonly [
  partition: number,
  offset: number,
  timestamp: number,
  key: string | null,
  value: string | null,
  headers: readonly (readonly [string, string | null])[],
]

/** What Kafka's own consumer read from each topic; `committed` is what it reads of `transactions` with read_committed. */
const expected: Record<'codecs' | 'transactions' | 'committed' | 'compacted', Line[]> = JSON.parse(
  readFileSync(join(fixture, 'expected.json'), 'utf8'),
)

function copy(): string {
  const place = directory()
  cpSync(join(fixture, 'logs'), place, { recursive: true })
  // The fixture comes without Kafka's records of its cluster, in which there are no keys of ours.
  mkdirSync(join(place, '__cluster_metadata-0'))
  writeFileSync(join(place, '__cluster_metadata-0', '00000000000000000000.log'), 'not for us')
  return place
}

function files(place: string): Map<string, Buffer> {
  const names = readdirSync(place, { recursive: true, encoding: 'utf8' }).sort()
  return new Map(
    names.filter((name) => statSync(join(place, name)).isFile()).map((name) => [name, readFileSync(join(place, name))]),
  )
}

function topic(name: string): Topic<string, string> {
  return new Topic(name, { partitions: name === 'codecs' ? 2 : 1, value: string() })
}

async function linesOf(place: string, name: string): Promise<Line[]> {
  const broker = await openBroker({ storage: new FileStorage(place, { readOnly: true }) })
  const messages = await contentsOf(broker, topic(name))
  await broker.close()
  return messages.map(({ partition, offset, timestamp, key, value, headers }) => {
    const pairs = Array.from(headers, ([header, bytes]) => [header, bytes && Buffer.from(bytes).toString()] as const)
    return [partition, offset, timestamp, key, value, pairs]
  })
}

/** The logs of a partition, oldest first. */
function logsOf(place: string, partition: string): string[] {
  const names = readdirSync(join(place, partition)).filter((name) => name.endsWith('.log'))
  return names.sort().map((name) => join(place, partition, name))
}

describe('the directory of an Apache Kafka, opened read-only', () => {
  it.each(['codecs', 'transactions', 'compacted'] as const)(
    "holds in topic '%s' what Kafka's own consumer finds there",
    async (name) => {
      const lines = await linesOf(copy(), name)
      expect(lines.length).toBeGreaterThan(5)
      expect(lines).toEqual(expected[name])
    },
  )

  it('has the gaps that its cleaner left, and markers of transactions that no reader is given', () => {
    const offsets = (lines: readonly Line[]): number[] => lines.map(([, offset]) => offset)
    for (const name of ['compacted', 'transactions'] as const) {
      expect(offsets(expected[name]).some((offset, at, all) => at > 0 && offset !== (all[at - 1] ?? 0) + 1)).toBe(true)
    }
    expect(offsets(expected.committed).length).toBeLessThan(expected.transactions.length)
  })

  it('lists its topics, ends and committed offsets, and is left as it was', async () => {
    const place = copy()
    const before = files(place)
    const broker = await openBroker({ storage: new FileStorage(place, { readOnly: true }) })
    expect(await broker.topics()).toEqual(['codecs', 'compacted', 'empty', 'transactions'])
    const { lag } = await broker.describeGroup('billing')
    expect(lag.map(({ partition, committedOffset }) => [partition, committedOffset])).toEqual([
      [0, 7],
      [1, 3],
    ])
    const { code } = await refusal(() => broker.producer().send(topic('codecs'), { value: 'x' }))
    expect(code).toBe('OTTLA_READ_ONLY')
    await broker.close()
    expect(files(place)).toEqual(before)
  })

  it('may have been written under any leader epoch', async () => {
    const place = copy()
    const [log = ''] = logsOf(place, 'codecs-1')
    const bytes = readFileSync(log)
    bytes.writeInt32BE(7, 12)
    writeFileSync(log, bytes)
    expect(await linesOf(place, 'codecs')).toEqual(expected.codecs)
  })

  it('is read up to a batch that Kafka has not written whole', async () => {
    const place = copy()
    const [last = ''] = logsOf(place, 'codecs-0').slice(-1)
    truncateSync(last, statSync(last).size - 1)
    const lines = await linesOf(place, 'codecs')
    expect(lines.length).toBeLessThan(expected.codecs.length)
    const ofFirst = (each: readonly Line[]): Line[] => each.filter(([partition]) => partition === 0)
    expect(ofFirst(lines)).toEqual(ofFirst(expected.codecs).slice(0, ofFirst(lines).length))
  })

  it('that is damaged is refused, and says where', async () => {
    const place = copy()
    const [first = '', ...more] = logsOf(place, 'compacted-0')
    expect(more.length).toBeGreaterThan(0)
    const bytes = readFileSync(first)
    bytes[70] = 255 - (bytes[70] ?? 0)
    writeFileSync(first, bytes)
    const error = await refusal(() => openBroker({ storage: new FileStorage(place, { readOnly: true }) }))
    expect(error).toMatchObject({ code: 'OTTLA_CORRUPTION', damage: { file: first, position: 0 } })
  })
})

describe('the directory of an Apache Kafka, opened for writing', () => {
  it('is refused, says what can be done, and is left as it was', async () => {
    const place = copy()
    const before = files(place)
    const error = await refusal(() => openBroker({ storage: new FileStorage(place) }))
    expect(error.code).toBe('OTTLA_INVALID_ARGUMENT')
    expect(error.message).toContain('readOnly: true')
    expect(files(place)).toEqual(before)
  })
})
