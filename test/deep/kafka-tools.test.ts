import { execFile } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Broker, FileStorage } from 'ottla'
import { expect, it } from 'vitest'
import { kafkaClassPath } from '../clients/installation.mjs'
import { temporaryDirectories } from '../storage/file/file-rig.js'
import { bundleChild } from '../torture/bundle.js'
import { torture } from '../torture/rounds.js'
import { TOPICS } from '../torture/said.js'

const directory = temporaryDirectories()

/** What DumpLogSegments says of each file that it was given. */
async function dumpsOf(classPath: string, files: readonly string[], options: readonly string[]): Promise<Dump[]> {
  const args = ['-cp', classPath, 'kafka.tools.DumpLogSegments', ...options, '--files', files.join(',')]
  const { stdout, stderr } = await promisify(execFile)('java', args, { maxBuffer: 2 ** 30 })
  // Kafka's logger warns that it is not set up.
  expect(stderr.split('\n').filter((line) => line !== '' && !line.includes('SLF4J'))).toEqual([])
  const dumps: Dump[] = []
  for (const line of stdout.split('\n')) {
    const [, file] = /^Dumping (.+)$/.exec(line) ?? []
    if (file !== undefined) dumps.push({ file, lines: [] })
    else if (line !== '') dumps.at(-1)?.lines.push(line)
  }
  expect(dumps.map(({ file }) => file)).toEqual(files)
  return dumps
}

interface Dump {
  readonly file: string
  readonly lines: string[]
}

/** Offsets of the records, each of which has a line of its own. */
function offsetsIn({ lines }: Dump): number[] {
  return lines.flatMap((line) => /^\| offset: (\d+) /.exec(line)?.[1] ?? []).map(Number)
}

it('Apache Kafka reads every log, index, time index and snapshot of a process that was killed over and over', async ({
  skip,
}) => {
  const classPath = await kafkaClassPath().catch((error: unknown) => skip(`Apache Kafka cannot be had: ${error}`))
  const place = join(directory(), 'data')
  const child = bundleChild(join(directory(), 'child.mjs'))
  const seed = Date.now() % 10_000
  console.log(`seed ${seed}`)
  await torture({ rounds: 10, seed, directory: place, child })
  // What the last kill left is mended by the next start, and its indexes are written by the close.
  const broker = await Broker.open({ storage: new FileStorage(place) })
  const kept = new Map<string, number[]>()
  for (const topic of TOPICS) {
    for await (const { partition, offset } of broker.reader(topic, { until: 'end' })) {
      const name = `${topic.name}-${partition}`
      kept.set(name, [...(kept.get(name) ?? []), offset])
    }
  }
  await broker.close()

  const files = readdirSync(place, { recursive: true, encoding: 'utf8' }).sort()
  const endingIn = (suffix: string): string[] =>
    files.filter((name) => name.endsWith(suffix)).map((name) => join(place, name))
  const logs = endingIn('.log')
  const found = new Map<string, number[]>()
  let batches = 0
  for (const dump of await dumpsOf(classPath, logs, ['--deep-iteration'])) {
    const headers = dump.lines.filter((line) => line.startsWith('baseOffset: '))
    expect(headers.filter((line) => !line.includes('isvalid: true'))).toEqual([])
    const others = dump.lines.filter((line) => !/^(baseOffset: |\| offset: |Log starting offset: )/.test(line))
    expect(others).toEqual([])
    batches += headers.length
    const name = dump.file.split('/').at(-2) ?? ''
    found.set(name, [...(found.get(name) ?? []), ...offsetsIn(dump)])
  }
  for (const [name, offsets] of kept) expect(found.get(name), name).toEqual(offsets)

  let entries = 0
  // A kill may come between a roll and the first append, and a log that never held a batch gets no indexes.
  const withBatches = logs.filter((file) => statSync(file).size > 0)
  for (const suffix of ['.index', '.timeindex']) {
    const all = endingIn(suffix)
    expect(withBatches.filter((file) => !all.includes(file.replace(/log$/, suffix.slice(1))))).toEqual([])
    for (const { file, lines } of await dumpsOf(classPath, all, [])) {
      if (lines.join() === `${file} is empty.`) continue
      const isEntry = (line: string): boolean => /^(offset: \d+ position|timestamp: \d+ offset): \d+$/.test(line)
      expect(
        lines.filter((line) => !isEntry(line)),
        file,
      ).toEqual([])
      entries += lines.length
    }
  }
  const snapshots = endingIn('.snapshot')
  for (const { file, lines } of await dumpsOf(classPath, snapshots, [])) {
    expect(
      lines.filter((line) => !line.startsWith('producerId: ')),
      file,
    ).toEqual([])
  }
  const commits = logs.filter((name) => name.includes('__consumer_offsets'))
  const decoded = (await dumpsOf(classPath, commits, ['--offsets-decoder'])).flatMap(({ lines }) => lines)
  expect(decoded.filter((line) => line.includes('"group":"billing"')).length).toBeGreaterThan(0)
  console.log(`Apache Kafka read ${logs.length} logs with ${batches} batches, and ${entries} entries of their indexes`)
})
