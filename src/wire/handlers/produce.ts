import { OttlaError } from '../../errors.js'
import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { produce } from '../../protocol/messages/produce.js'
import { decodeBatches, type EncodedBatch } from '../../record/encoded-batch.js'
import { type Handler, handler, type RequestContext } from '../handler.js'

/*
 * One closed batch for each partition goes to the log as it came. Batches of the older formats (versions 0 to 2) are
 * refused with error 43. Nothing of transactions is known.
 */

/** Since version 7 a client may use zstd. */
const ZSTD_FROM_VERSION = 7
const ONE_BATCH_FROM_VERSION = 3

export const onProduce: Handler = handler(produce, async (request, context) => {
  const { acks, topicData, transactionalId } = request
  if (context.version >= 13) await context.topicIds.refresh()
  const responses = await Promise.all(
    topicData.map(async ({ name, topicId, partitionData }) => {
      const topic = context.version >= 13 ? context.topicIds.nameOf(topicId) : name
      return {
        name,
        topicId,
        partitionResponses: await Promise.all(
          partitionData.map(async ({ index, records }) => {
            const outcome = await append({ topic, partition: index, records, acks, transactionalId }, context)
            return { index, ...outcome }
          }),
        ),
      }
    }),
  )
  if (acks !== 0) return { responses }
  // Nobody hears of an error without acknowledgements, so the connection ends, as it does with Kafka.
  const failed = responses.flatMap((topic) => topic.partitionResponses).find(({ errorCode }) => errorCode !== 0)
  if (failed !== undefined)
    throw new OttlaError('OTTLA_INVALID_ARGUMENT', `Produce without acknowledgement failed: ${failed.errorMessage}`)
  return undefined
})

interface Appending {
  /** Undefined for an id that no topic has. */
  readonly topic: string | undefined
  readonly partition: number
  readonly records: Uint8Array | null
  readonly acks: number
  readonly transactionalId: string | null
}

interface Outcome {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly baseOffset: number
  readonly logAppendTimeMs: number
  readonly logStartOffset: number
}

async function append(appending: Appending, { engine, version }: RequestContext): Promise<Outcome> {
  const { topic, partition, acks, transactionalId } = appending
  if (topic === undefined) return refused(KafkaError.unknownTopicId, 'No topic has this id')
  if (acks < -1 || acks > 1) return refused(KafkaError.invalidRequiredAcks, `acks is -1, 0 or 1, not ${acks}`)
  if (transactionalId !== null) return refused(KafkaError.invalidRequest, 'Transactions are not supported')
  try {
    const batches = decodeBatches(...wholeOf(appending.records), { verify: true })
    const problem = problemOf(batches, version)
    if (problem !== undefined) return problem
    let first: Outcome | undefined
    for (const batch of batches) {
      const { baseOffset, logAppendTime, logStartOffset } = await engine.produce({ topic, partition, batch })
      first ??= { errorCode: 0, errorMessage: null, baseOffset, logAppendTimeMs: logAppendTime, logStartOffset }
    }
    return first ?? refused(KafkaError.invalidRecord, 'There is no batch to append')
  } catch (error) {
    if (!OttlaError.is(error) || error.code === 'OTTLA_CLOSED') throw error
    return refused(kafkaCodeOf(error), error.message)
  }
}

function wholeOf(records: Uint8Array | null): [buffer: Uint8Array, start: number, end: number] {
  return records === null ? [new Uint8Array(0), 0, 0] : [records, 0, records.length]
}

/** What Kafka refuses before it appends anything. */
function problemOf(batches: readonly EncodedBatch[], version: number): Outcome | undefined {
  if (version >= ONE_BATCH_FROM_VERSION && batches.length !== 1) {
    return refused(KafkaError.invalidRecord, `A partition has one batch in version ${version}, not ${batches.length}`)
  }
  for (const batch of batches) {
    if (batch.isControl || batch.isTransactional) {
      return refused(KafkaError.invalidRecord, 'A client writes neither control batches nor, here, transactions')
    }
    if (batch.recordCount === 0 || batch.recordCount !== batch.lastOffset - batch.baseOffset + 1) {
      return refused(KafkaError.invalidRecord, `A batch counts ${batch.recordCount} records and has other offsets`)
    }
    if (batch.compression === 'zstd' && version < ZSTD_FROM_VERSION) {
      return refused(KafkaError.unsupportedCompressionType, `zstd is known from version ${ZSTD_FROM_VERSION} on`)
    }
  }
  return undefined
}

function refused(errorCode: number, errorMessage: string): Outcome {
  return { errorCode, errorMessage, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 }
}
