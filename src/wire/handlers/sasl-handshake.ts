import { KafkaError } from '../../protocol/kafka-errors.js'
import { saslHandshake } from '../../protocol/messages/sasl-handshake.js'
import { type Handler, handler } from '../handler.js'

export const onSaslHandshake: Handler = handler(saslHandshake, ({ mechanism }, { sasl, version }) => ({
  errorCode: sasl?.handshake(mechanism, version) ?? KafkaError.illegalSaslState,
  mechanisms: sasl?.mechanisms ?? [],
}))
