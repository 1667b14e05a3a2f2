import { KafkaError } from '../../protocol/kafka-errors.js'
import { saslAuthenticate } from '../../protocol/messages/sasl-authenticate.js'
import { type Handler, handler } from '../handler.js'

/** Nobody has to prove who they are again: a session lasts as long as its connection. */
export const onSaslAuthenticate: Handler = handler(saslAuthenticate, async ({ authBytes }, { sasl }) => {
  const answer = (await sasl?.authenticate(authBytes)) ?? NO_SASL
  return answer instanceof Uint8Array
    ? { errorCode: KafkaError.none, errorMessage: null, authBytes: answer }
    : { ...answer, authBytes: new Uint8Array(0) }
})

const NO_SASL = { errorCode: KafkaError.illegalSaslState, errorMessage: 'This listener asks nobody who they are' }
