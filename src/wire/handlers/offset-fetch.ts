import type { FetchedOffset } from '../../group/group-requests.js'
import { KafkaError } from '../../protocol/kafka-errors.js'
import { offsetFetch } from '../../protocol/messages/offset-fetch.js'
import { type Handler, handler, type RequestContext } from '../handler.js'

const SEVERAL_FROM_VERSION = 8
const BY_ID_FROM_VERSION = 10
/** Up to then there was no way to ask for all topics. */
const ALL_TOPICS_FROM_VERSION = 2

/** There are no transactions, so every committed offset is stable. */
export const onOffsetFetch: Handler = handler(offsetFetch, async (request, context) => {
  if (context.version >= BY_ID_FROM_VERSION) await context.topicIds.refresh()
  if (context.version < SEVERAL_FROM_VERSION) {
    const asked = context.version < ALL_TOPICS_FROM_VERSION ? (request.topics ?? []) : request.topics
    const topics = await committed(request.groupId, asked, context)
    return { topics, errorCode: KafkaError.none }
  }
  const groups = await Promise.all(
    request.groups.map(async ({ groupId, topics }) => ({ groupId, topics: await committed(groupId, topics, context) })),
  )
  return { groups }
})

interface AskedTopic {
  readonly name: string
  readonly topicId?: string
  readonly partitionIndexes: readonly number[]
}

interface AnsweredTopic {
  readonly name: string
  readonly topicId: string
  readonly partitions: AnsweredPartition[]
}

interface AnsweredPartition {
  readonly partitionIndex: number
  readonly committedOffset: number
  readonly committedLeaderEpoch: number
  readonly metadata: string
  readonly errorCode: number
}

async function committed(
  groupId: string,
  topics: readonly AskedTopic[] | null,
  { engine, version, topicIds }: RequestContext,
): Promise<AnsweredTopic[]> {
  const byId = version >= BY_ID_FROM_VERSION
  if (topics === null) {
    const all = await engine.fetchOffsets({ groupId, partitions: null })
    const byName = new Map<string, AnsweredPartition[]>()
    for (const offset of all) {
      const partitions = byName.get(offset.topic) ?? []
      byName.set(offset.topic, partitions)
      partitions.push(answered(offset))
    }
    return Array.from(byName, ([name, partitions]) => ({ name, topicId: topicIds.idOf(name), partitions }))
  }
  return Promise.all(
    topics.map(async ({ name, topicId = '', partitionIndexes }) => {
      const topic = byId ? topicIds.nameOf(topicId) : name
      if (topic === undefined) return { name, topicId, partitions: partitionIndexes.map(unknownId) }
      const partitions = partitionIndexes.map((partition) => ({ topic, partition }))
      const offsets = await engine.fetchOffsets({ groupId, partitions })
      return { name, topicId, partitions: offsets.map(answered) }
    }),
  )
}

function answered({ partition, offset, leaderEpoch, metadata }: FetchedOffset): AnsweredPartition {
  return {
    partitionIndex: partition,
    committedOffset: offset,
    committedLeaderEpoch: leaderEpoch,
    metadata,
    errorCode: KafkaError.none,
  }
}

function unknownId(partitionIndex: number): AnsweredPartition {
  return {
    partitionIndex,
    committedOffset: -1,
    committedLeaderEpoch: -1,
    metadata: '',
    errorCode: KafkaError.unknownTopicId,
  }
}
