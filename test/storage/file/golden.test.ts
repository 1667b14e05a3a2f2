import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { decodeBatches } from '../../../src/record/encoded-batch.js'
import { logPath, open, temporaryDirectories } from './file-rig.js'

const directory = temporaryDirectories()
const BASES = [0, 1499]

function golden(baseOffset: number, suffix: string): Buffer {
  const name = String(baseOffset).padStart(20, '0') + suffix
  return readFileSync(new URL(`../../fixtures/storage/${name}`, import.meta.url))
}

describe('the files of a partition', () => {
  it.each([1, 7, 1000])(
    'are those that Apache Kafka writes, byte for byte, with %i batches an append',
    async (step) => {
      const place = directory()
      const { storage, log } = await open(place, { durability: 'os' }, 4096)
      for (const base of BASES) {
        await log.roll(base)
        const bytes = golden(base, '.log')
        const batches = decodeBatches(bytes, 0, bytes.length, { verify: true })
        for (let at = 0; at < batches.length; at += step) await log.append(batches.slice(at, at + step))
      }
      await storage.close()
      for (const base of BASES) {
        for (const suffix of ['.log', '.index', '.timeindex']) {
          expect(readFileSync(logPath(place, base, suffix)).equals(golden(base, suffix)), `${base}${suffix}`).toBe(true)
        }
      }
      expect(readFileSync(logPath(place, 0, '').replace(/\/[^/]*$/, '/leader-epoch-checkpoint'), 'utf8')).toBe(
        '0\n1\n0 0\n',
      )
    },
  )
})
