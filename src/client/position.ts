import type { Engine, OffsetSpec } from '../engine/engine.js'
import type { TopicPartition } from '../storage/storage.js'
import { describe, invalid, isWholeNumber } from './options.js'

/** The one way to name a place in a log; never a bare number, which could be an offset or a time. */
export type Position = 'earliest' | 'latest' | { timestamp: number | Date } | { offset: number }

/** Throws OTTLA_INVALID_ARGUMENT. `of` names the argument. */
export function checkPosition(of: string, position: unknown): Position {
  if (position === 'earliest' || position === 'latest') return position
  if (typeof position === 'object' && position !== null) {
    const names = Object.keys(position)
    if (names.length === 1 && 'offset' in position) return { offset: wholeNumber(of, 'offset', position.offset) }
    if (names.length === 1 && 'timestamp' in position) {
      const { timestamp } = position
      const milliseconds = timestamp instanceof Date ? timestamp.getTime() : timestamp
      return { timestamp: wholeNumber(of, 'timestamp', milliseconds) }
    }
  }
  throw invalid(
    `${of} is 'earliest', 'latest', { timestamp } or { offset }, not ${describe(position)}${typeof position === 'number' ? ', which is neither an offset nor a time' : ''}`,
  )
}

/** The offset that the position means in each partition. A time after the last message means the end. */
export async function resolvePosition(
  engine: Engine,
  position: Position,
  partitions: readonly TopicPartition[],
): Promise<number[]> {
  if (partitions.length === 0) return []
  if (typeof position === 'object' && 'offset' in position) return partitions.map(() => position.offset)
  const spec: OffsetSpec = typeof position === 'string' ? position : { timestamp: Number(position.timestamp) }
  const found = await engine.listOffsets(partitions.map((at) => ({ ...at, at: spec })))
  const offsets: number[] = []
  for (const [index, { offset, error }] of found.entries()) {
    if (error !== null) throw error
    const at = partitions[index] as TopicPartition
    offsets.push(offset >= 0 ? offset : ((await resolvePosition(engine, 'latest', [at]))[0] as number))
  }
  return offsets
}

function wholeNumber(of: string, name: string, value: unknown): number {
  if (isWholeNumber(value)) return value
  throw invalid(`The ${name} of ${of} is a whole number from 0 up, not ${describe(value)}`)
}
