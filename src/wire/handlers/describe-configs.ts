import type { ConfigEntry } from '../../engine/config.js'
import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import type { RequestOf } from '../../protocol/message-table.js'
import { describeConfigs } from '../../protocol/messages/describe-configs.js'
import { type Handler, handler } from '../handler.js'
import { configSource, configType, resourceOf } from './config-response.js'

export const onDescribeConfigs: Handler = handler(describeConfigs, async (request, { engine }) => {
  const results = request.resources.map(async ({ resourceType, resourceName, configurationKeys }) => {
    const answer = { resourceType, resourceName }
    const resource = resourceOf(resourceType, resourceName)
    if (resource === undefined) {
      const errorMessage = `Resources of type ${resourceType} have no configs here`
      return { ...answer, errorCode: KafkaError.invalidRequest, errorMessage, configs: [] }
    }
    const [described] = await engine.describeConfigs([{ ...resource, configNames: configurationKeys ?? undefined }])
    const error = described?.error ?? null
    const entries = described?.entries ?? []
    return {
      ...answer,
      errorCode: kafkaCodeOf(error),
      errorMessage: error === null ? null : error.message,
      configs: entries.map((entry) => configResponse(entry, request)),
    }
  })
  return { throttleTimeMs: 0, results: await Promise.all(results) }
})

function configResponse(
  entry: ConfigEntry,
  { includeSynonyms, includeDocumentation }: RequestOf<typeof describeConfigs>,
) {
  const { name, value, readOnly, isDefault, source, isSensitive, type, documentation, synonyms } = entry
  return {
    name,
    value,
    readOnly,
    isDefault,
    configSource: configSource(source),
    isSensitive,
    synonyms: includeSynonyms
      ? synonyms.map((synonym) => ({
          name: synonym.name,
          value: synonym.value,
          source: configSource(synonym.source),
        }))
      : [],
    configType: configType(type),
    documentation: includeDocumentation ? documentation : null,
  }
}
