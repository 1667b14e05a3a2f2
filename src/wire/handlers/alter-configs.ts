import type { ConfigEntry } from '../../engine/config.js'
import { OttlaError } from '../../errors.js'
import { KafkaError, kafkaCodeOf } from '../../protocol/kafka-errors.js'
import type { RequestOf } from '../../protocol/message-table.js'
import { alterConfigs } from '../../protocol/messages/alter-configs.js'
import { incrementalAlterConfigs } from '../../protocol/messages/incremental-alter-configs.js'
import { type Handler, handler, type RequestContext } from '../handler.js'
import { resourceOf } from './config-response.js'

/** By Kafka's names; null takes a config back to its default. */
type Changes = Readonly<Record<string, string | null>>

/** What is not named goes back to its default. */
export const onAlterConfigs: Handler = handler(alterConfigs, async ({ resources, validateOnly }, context) => {
  const responses = resources.map(({ resourceType, resourceName, configs }) =>
    alter(resourceType, resourceName, validateOnly, context, (current) => ({
      ...Object.fromEntries(current.filter(isOwn).map(({ name }) => [name, null])),
      ...Object.fromEntries(configs.map(({ name, value }) => [name, value])),
    })),
  )
  return { throttleTimeMs: 0, responses: await Promise.all(responses) }
})

export const onIncrementalAlterConfigs: Handler = handler(incrementalAlterConfigs, async (request, context) => {
  const responses = request.resources.map(({ resourceType, resourceName, configs }) =>
    alter(resourceType, resourceName, request.validateOnly, context, (current) => changesOf(configs, current)),
  )
  return { throttleTimeMs: 0, responses: await Promise.all(responses) }
})

type Operation = RequestOf<typeof incrementalAlterConfigs>['resources'][number]['configs'][number]

const SET = 0
const DELETE = 1
const APPEND = 2
const SUBTRACT = 3

function changesOf(operations: readonly Operation[], current: readonly ConfigEntry[]): Changes {
  const changes: Record<string, string | null> = {}
  for (const { name, configOperation, value } of operations) {
    if (Object.hasOwn(changes, name)) throw refusal('OTTLA_INVALID_ARGUMENT', `Config ${name} is named twice`)
    if (configOperation === DELETE) changes[name] = null
    else if (value === null) throw refusal('OTTLA_INVALID_ARGUMENT', `Config ${name} has no value`)
    else if (configOperation === SET) changes[name] = value
    else if (configOperation === APPEND || configOperation === SUBTRACT) {
      const entry = current.find((known) => known.name === name)
      if (entry?.type !== 'LIST') throw refusal('OTTLA_INVALID_CONFIG', `Config ${name} is no list`)
      const items = entry.value.split(',').filter((item) => item !== '')
      const named = value.split(',')
      changes[name] =
        configOperation === APPEND
          ? [...items, ...named.filter((item) => !items.includes(item))].join(',')
          : items.filter((item) => !named.includes(item)).join(',')
    } else throw refusal('OTTLA_INVALID_ARGUMENT', `${configOperation} is no operation on configs`)
  }
  return changes
}

function isOwn({ source }: ConfigEntry): boolean {
  return source === 'DYNAMIC_TOPIC_CONFIG'
}

async function alter(
  resourceType: number,
  resourceName: string,
  validateOnly: boolean,
  { engine }: RequestContext,
  changesFor: (current: readonly ConfigEntry[]) => Changes,
) {
  const answer = { resourceType, resourceName, errorCode: 0, errorMessage: null }
  const resource = resourceOf(resourceType, resourceName)
  if (resource === undefined) {
    const errorMessage = `Resources of type ${resourceType} have no configs here`
    return { ...answer, errorCode: KafkaError.invalidRequest, errorMessage }
  }
  try {
    const [described] = await engine.describeConfigs([resource])
    if (described?.error) throw described.error
    const configs = changesFor(described?.entries ?? [])
    const [outcome] = await engine.alterConfigs([{ ...resource, configs }], { validateOnly })
    if (outcome?.error) throw outcome.error
    return answer
  } catch (error) {
    if (!OttlaError.is(error) || error.code === 'OTTLA_CLOSED') throw error
    return { ...answer, errorCode: kafkaCodeOf(error), errorMessage: error.message }
  }
}

function refusal(code: 'OTTLA_INVALID_ARGUMENT' | 'OTTLA_INVALID_CONFIG', message: string): OttlaError {
  return new OttlaError(code, message)
}
