import { OttlaError } from 'ottla'
import { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { batchAt, damage, openOn, PLACE } from './file-rig.js'

export interface FlipFindings {
  tried: number
  /** Refused, by what code. */
  readonly caught: Map<string, number>
  /** Cut and reported, behind the durable mark. */
  cut: number
  harmless: number
  /** What was neither. */
  readonly failures: string[]
}

const OFFSETS = [0, 1, 3, 4, 5, 7, 8, 9, 11]

/** A log of three segments with three batches each, one of them with gaps. */
export async function threeSegments(): Promise<SimulatedFileSystem> {
  const disk = new SimulatedFileSystem()
  const { storage, log } = await openOn(disk)
  for (const base of [0, 4, 8]) {
    await log.roll(base)
    for (const [at, records] of [
      [0, 1],
      [1, 2],
      [3, 1],
    ] as const) {
      const offset = base + at
      await log.append([batchAt(offset, records, 10)])
    }
    await log.sync()
  }
  await log.saveSnapshot(12, Uint8Array.of(0, 1, 2))
  await log.replace(0, 1, [batchAt(0, 1, 10), batchAt(3, 1, 10)])
  await storage.close()
  return disk
}

/** The same log, killed when all of it was known to be durable, and a batch behind that which is not. */
export async function killedWithTail(): Promise<SimulatedFileSystem> {
  const disk = (await threeSegments()).killProcess()
  const { log } = await openOn(disk)
  await log.append([batchAt(12, 2, 10)])
  await log.sync()
  return disk.killProcess()
}

async function contentOfLog(disk: SimulatedFileSystem): Promise<{ content: string; isCut: boolean }> {
  const { storage, log, reports } = await openOn(disk)
  try {
    const parts: string[] = []
    for (let from = 0; ; ) {
      const batches = await log.read(from, 1 << 20, Number.MAX_SAFE_INTEGER)
      if (batches.length === 0) break
      for (const batch of batches) {
        parts.push(`${batch.baseOffset}-${batch.lastOffset} ${Buffer.from(batch.bytes()).toString('base64')}`)
        from = batch.lastOffset + 1
      }
    }
    for (const offset of OFFSETS) {
      parts.push(`from ${offset}: ${(await log.read(offset, 1, Number.MAX_SAFE_INTEGER))[0]?.baseOffset}`)
      parts.push(`at ${offset}: ${await log.findOffset(1_000 + offset)}`)
    }
    return { content: parts.join('\n'), isCut: reports.some(({ kind }) => kind === 'torn-tail') }
  } finally {
    await storage.close()
  }
}

/** Flips bits of every byte of every file, one at a time, and looks at what a reader then gets. */
export async function flipBits(
  disk: SimulatedFileSystem,
  bits: (byte: number) => readonly number[],
): Promise<FlipFindings> {
  const findings: FlipFindings = { tried: 0, caught: new Map(), cut: 0, harmless: 0, failures: [] }
  const pristine = (await contentOfLog(disk.killProcess())).content
  for (const [name, content] of disk.files(PLACE)) {
    for (let byte = 0; byte < content.length; byte++) {
      for (const bit of bits(byte)) {
        findings.tried++
        const flipped = disk.killProcess()
        damage(flipped, `${PLACE}/${name}`, (bytes) => bytes.writeUInt8((bytes[byte] ?? 0) ^ (1 << bit), byte))
        try {
          const { content: found, isCut } = await contentOfLog(flipped)
          if (found === pristine) findings.harmless++
          else if (isCut) findings.cut++
          else findings.failures.push(`${name}, byte ${byte}, bit ${bit} gave other content`)
        } catch (error) {
          if (!OttlaError.is(error)) findings.failures.push(`${name}, byte ${byte}, bit ${bit}: ${String(error)}`)
          else findings.caught.set(error.code, (findings.caught.get(error.code) ?? 0) + 1)
        }
      }
    }
  }
  return findings
}

export const EVERY_BIT = [0, 1, 2, 3, 4, 5, 6, 7] as const
