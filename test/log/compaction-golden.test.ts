import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { decodeBatches } from '../../src/record/encoded-batch.js'
import { ManualClock } from '../../src/testing/manual-clock.js'
import { COMPACTED, CompactedLog } from './compacting.js'

/** Made by MemoryRecords.filterTo of Apache Kafka 4.2, with the rules of its Cleaner, from the same batches at the same times. */
const fixture: {
  before: string
  deleteRetentionMs: number
  rounds: { now: number; after: string }[]
} = JSON.parse(readFileSync(new URL('../fixtures/log/compaction.json', import.meta.url), 'utf8'))

it('compaction leaves the bytes that Kafka leaves', async () => {
  const before = Buffer.from(fixture.before, 'base64')
  const clock = new ManualClock({ now: fixture.rounds[0]?.now ?? 0 })
  const settings = { ...COMPACTED, deleteRetentionMs: fixture.deleteRetentionMs, segmentBytes: 1 << 20 }
  const subject = await CompactedLog.open({ settings }, undefined, clock)
  for (const batch of decodeBatches(before, 0, before.length, { verify: true })) await subject.log.append(batch)
  subject.log.settings = { ...settings, segmentBytes: 1 }
  const sealed = subject.log.highWatermark
  await subject.append(['active', 'x'])
  for (const { now, after } of fixture.rounds) {
    clock.setWall(now)
    await subject.compact()
    const batches = (await subject.batches()).filter(({ baseOffset }) => baseOffset < sealed)
    const bytes = Buffer.concat(batches.map((batch) => batch.bytes()))
    expect(bytes.toString('base64')).toBe(after)
  }
})
