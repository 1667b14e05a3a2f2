import { reasonOf } from '../reason-of.js'
import { Random } from './random.js'
import type { LogUnderTest, StorageUnderTest } from './storage-under-test.js'

const RANDOM_OPERATIONS = 300

/** Compares a log with its model after each of many random operations. A failure names the seed and what came last. */
export async function runRandomOperations(log: LogUnderTest, place: StorageUnderTest, seed: number): Promise<void> {
  const random = new Random(seed)
  const history: string[] = []
  try {
    for (let operation = 0; operation < RANDOM_OPERATIONS; operation++) {
      await runRandomOperation(log, place, random, history)
      await log.check(random.below(3000))
      await log.checkRead(random.below(log.endOffset + 2), random.below(2000), random.below(log.endOffset + 2))
      await log.checkFindOffset(random.below(1000))
    }
  } catch (cause) {
    const reason = reasonOf(cause)
    throw new Error(`With seed ${seed}, after ${history.slice(-8).join(', ')}: ${reason}`, { cause })
  }
}

async function runRandomOperation(
  log: LogUnderTest,
  place: StorageUnderTest,
  random: Random,
  history: string[],
): Promise<void> {
  const sealed = log.storage.segments.length - 1
  const start = log.storage.segments[0]?.baseOffset ?? 0
  const dice = random.below(100)
  if (dice < 60) {
    const shapes = Array.from({ length: 1 + random.below(4) }, () => ({
      gap: random.below(10) === 0 ? random.below(5) : 0,
      records: 1 + random.below(4),
      timestamp: random.below(1000),
      valueBytes: random.below(400),
    }))
    history.push(`append of ${shapes.length}`)
    await log.append(...shapes)
  } else if (dice < 72) {
    const baseOffset = log.endOffset + (random.below(5) === 0 ? random.below(4) : 0)
    history.push(`roll(${baseOffset})`)
    await log.roll(baseOffset)
  } else if (dice < 77) {
    const count = random.below(Math.min(sealed, 3) + 1)
    history.push(`drop(${count})`)
    await log.drop(count)
  } else if (dice < 84) {
    // Most of the time near the end, as after a failed append.
    const offset =
      random.below(8) === 0 ? start + random.below(log.endOffset - start + 2) : log.endOffset - random.below(9)
    history.push(`truncate(${Math.max(offset, 0)})`)
    await log.truncate(Math.max(offset, 0))
  } else if (dice < 92 && sealed > 0) {
    const first = random.below(sealed)
    const count = 1 + random.below(sealed - first)
    const left = new Set(log.kept.filter(() => random.below(3) > 0))
    history.push(`replace(${first}, ${count})`)
    await log.replace(first, count, (batch) => left.has(batch), random.below(2) === 0 ? 'iterable' : 'async iterable')
  } else if (dice < 97) {
    history.push('sync')
    await log.sync()
  } else {
    history.push('close and open')
    await log.storage.close()
    await log.open(place.storage)
  }
}
