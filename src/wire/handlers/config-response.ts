import type { ConfigSource, ConfigType } from '../../engine/config.js'
import type { ConfigResource } from '../../engine/engine.js'

const SOURCES: { readonly [Source in ConfigSource]: number } = {
  DYNAMIC_TOPIC_CONFIG: 1,
  STATIC_BROKER_CONFIG: 4,
  DEFAULT_CONFIG: 5,
}

const TYPES: { readonly [Type in ConfigType]: number } = { STRING: 2, INT: 3, LONG: 5, DOUBLE: 6, LIST: 7 }

/** Kafka's number for where a value comes from. */
export function configSource(source: ConfigSource): number {
  return SOURCES[source]
}

export function configType(type: ConfigType): number {
  return TYPES[type]
}

const TOPIC = 2
const BROKER = 4

/** Undefined for what has no configs here: loggers, client metrics, groups. */
export function resourceOf(resourceType: number, name: string): ConfigResource | undefined {
  if (resourceType === TOPIC) return { type: 'topic', name }
  if (resourceType === BROKER) return { type: 'broker', name }
  return undefined
}
