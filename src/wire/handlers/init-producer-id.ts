import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import { initProducerId } from '../../protocol/messages/init-producer-id.js'
import { type Handler, handler } from '../handler.js'
import { rethrowUnlessAnswer } from './rethrow-unless-answer.js'

/** A producer that asks again, since its sequence was broken, gets a new id, as with Kafka. */
export const onInitProducerId: Handler = handler(initProducerId, async ({ transactionalId }, { engine }) => {
  const none = { throttleTimeMs: 0, producerId: -1, producerEpoch: -1 }
  if (transactionalId !== null) return { ...none, errorCode: KafkaError.invalidRequest }
  try {
    return { throttleTimeMs: 0, errorCode: KafkaError.none, ...(await engine.initProducerId()) }
  } catch (error) {
    rethrowUnlessAnswer(error)
    return { ...none, errorCode: kafkaCodeOf(error) }
  }
})
