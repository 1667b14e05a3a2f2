import { KafkaError } from '../../protocol/kafka-errors.js'
import { isOffered } from '../../protocol/message-codec.js'
import { apiVersions } from '../../protocol/messages/api-versions.js'
import { type Handler, handler } from '../handler.js'

/** No name of a client is refused, and there are no features: those are of transactions and newer groups. */
export const onApiVersions: Handler = handler(apiVersions, (_, { version, apis }) => ({
  errorCode: isOffered(apiVersions, version) ? KafkaError.none : KafkaError.unsupportedVersion,
  apiKeys: apis.map(({ key, versions: [minVersion, maxVersion] }) => ({ apiKey: key, minVersion, maxVersion })),
}))
