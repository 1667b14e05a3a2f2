import type { Engine, TopicMetadata } from '../engine/engine.js'
import type { TopicPartition } from '../storage/storage.js'

/** How far a group is behind in one partition. */
export interface PartitionLag extends TopicPartition {
  /** The next offset to be handled; null where the group has committed none. */
  committedOffset: number | null
  /** The end that consumers can see: Kafka's high watermark. */
  logEndOffset: number
  /** Messages from the committed offset, or else from the start of the log, to the end. */
  lag: number
}

/** For all partitions of these topics. */
export function groupLag(engine: Engine, groupId: string, topics: readonly TopicMetadata[]): Promise<PartitionLag[]> {
  const partitions = topics.flatMap(({ name, partitionCount }) =>
    Array.from({ length: partitionCount }, (_, partition) => ({ topic: name, partition })),
  )
  return lagIn(engine, groupId, partitions)
}

export async function lagIn(
  engine: Engine,
  groupId: string,
  partitions: readonly TopicPartition[],
): Promise<PartitionLag[]> {
  const [committed, starts, ends] = await Promise.all([
    engine.fetchOffsets({ groupId, partitions }),
    engine.listOffsets(partitions.map((at) => ({ ...at, at: 'earliest' as const }))),
    engine.listOffsets(partitions.map((at) => ({ ...at, at: 'latest' as const }))),
  ])
  return partitions.flatMap((at, index) => {
    const start = starts[index]
    const end = ends[index]
    // A topic that was deleted meanwhile has no lag.
    if (start === undefined || end === undefined || start.error !== null || end.error !== null) return []
    const offset = committed[index]?.offset ?? -1
    const from = Math.max(offset, start.offset)
    return [
      {
        ...at,
        committedOffset: offset >= 0 ? offset : null,
        logEndOffset: end.offset,
        lag: Math.max(end.offset - from, 0),
      },
    ]
  })
}
