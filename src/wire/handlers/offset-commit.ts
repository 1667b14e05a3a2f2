import type { OffsetCommitResult } from '../../group/group-requests.js'
import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import type { RequestOf } from '../../protocol/message-table.js'
import { offsetCommit } from '../../protocol/messages/offset-commit.js'
import { type Handler, handler, type RequestContext } from '../handler.js'
import { rethrowUnlessAnswer } from './rethrow-unless-answer.js'

const BY_ID_FROM_VERSION = 10
/** Older clients do not know that a group can be missing. */
const GROUP_NOT_FOUND_FROM_VERSION = 9

/** Timestamps and retention times of old versions are without effect: offsets are kept as the broker says. */
export const onOffsetCommit: Handler = handler(offsetCommit, async (request, context) => {
  const byId = context.version >= BY_ID_FROM_VERSION
  if (byId) await context.topicIds.refresh()
  const named = request.topics.map((topic) => ({
    ...topic,
    known: byId ? context.topicIds.nameOf(topic.topicId) : topic.name,
  }))
  const answer = await commit(named, request, context)
  return {
    topics: named.map(({ name, topicId, known, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: known === undefined ? KafkaError.unknownTopicId : answer(known, partitionIndex),
      })),
    })),
  }
})

type NamedTopic = RequestOf<typeof offsetCommit>['topics'][number] & { readonly known: string | undefined }

/** Says how the commit of each partition went. */
async function commit(
  topics: readonly NamedTopic[],
  request: RequestOf<typeof offsetCommit>,
  { engine, version }: RequestContext,
): Promise<(topic: string, partition: number) => number> {
  const { groupId, generationIdOrMemberEpoch: generationId, memberId, groupInstanceId: instanceId } = request
  const offsets = topics.flatMap(({ known, partitions }) =>
    known === undefined
      ? []
      : partitions.map(({ partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata }) => ({
          topic: known,
          partition: partitionIndex,
          offset: committedOffset,
          leaderEpoch: committedLeaderEpoch,
          metadata: committedMetadata,
        })),
  )
  try {
    const results = await engine.commitOffsets({ groupId, generationId, memberId, instanceId, offsets })
    const codes = new Map(results.map((result) => [keyOf(result.topic, result.partition), codeOf(result)]))
    return (topic, partition) => codes.get(keyOf(topic, partition)) ?? KafkaError.unknownServerError
  } catch (error) {
    rethrowUnlessAnswer(error)
    const isTooNew = error.code === 'OTTLA_GROUP_NOT_FOUND' && version < GROUP_NOT_FOUND_FROM_VERSION
    const code = isTooNew ? KafkaError.illegalGeneration : kafkaCodeOf(error)
    return () => code
  }
}

function codeOf({ error }: OffsetCommitResult): number {
  return kafkaCodeOf(error)
}

function keyOf(topic: string, partition: number): string {
  return `${partition} ${topic}`
}
