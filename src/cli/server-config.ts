import { brokerSettings } from '../engine/config.js'
import { nearestName } from '../engine/nearest-name.js'
import { OttlaError } from '../errors.js'
import { itemsOf, numberOf } from './key-values.js'
import { type Given, type ServerListener, securityOf } from './listener-security.js'
import { InvalidListeners, readListeners } from './listeners.js'
import { engineValue, findKey, KEY_NAMES, SERVER_KEYS, type ServerKey } from './server-keys.js'

/** A key that somebody set. */
export interface Setting {
  readonly key: string
  readonly value: string
  /** Such as `config/server.properties, line 12` or `--override`. */
  readonly origin: string
}

/** What a broker is started with. */
export interface ServerConfig {
  /** For the engine, by Kafka's names, over Kafka's defaults. */
  readonly engine: Readonly<Record<string, string>>
  readonly nodeId: number
  readonly listeners: readonly ServerListener[]
  readonly logDirs: readonly string[]
  readonly durability:
    | { readonly durability: 'os' | 'fsync' }
    | { readonly durability: 'interval'; readonly syncIntervalMs: number }
  readonly autoCreateTopics: boolean
  readonly deleteTopics: boolean
  readonly socketRequestMaxBytes: number
  readonly connectionsMaxIdleMs: number
  readonly maxConnections: number
}

/** What became of a setting. */
export interface SettingReport {
  readonly setting: Setting
  /** `used`, `without effect, because ...` or `unknown, ...`. */
  readonly outcome: string
}

/** A file or an override that cannot be used: a sentence for each thing that is wrong. */
export class InvalidServerConfig extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

/**
 * What the settings amount to, and what became of each, in their order: of two of one key the later one holds. Throws
 * InvalidServerConfig.
 */
export function readServerConfig(settings: readonly Setting[]): { config: ServerConfig; reports: SettingReport[] } {
  const effective = new Map(settings.map((setting) => [setting.key, setting]))
  const problems = settings.flatMap((setting) => problemOf(setting) ?? [])
  if (problems.length > 0) throw new InvalidServerConfig(problems)
  const config = resolve(effective)
  checkTogether(config)
  return { config, reports: settings.map((setting) => ({ setting, outcome: outcomeOf(setting, effective, config) })) }
}

/** A value as it may be printed. */
export function shownValue({ key, value }: Setting): string {
  const known = findKey(key)
  const isSecret = known === undefined ? /password|secret|jaas|credential/i.test(key) : known.values.type === 'PASSWORD'
  return isSecret ? '[hidden]' : value
}

function problemOf(setting: Setting): string | undefined {
  const values = findKey(setting.key)?.values
  if (values === undefined || values.accepts(setting.value.trim())) return undefined
  return problem(setting, `cannot be '${shownValue(setting)}': it takes ${values.allowed}`)
}

function problem({ key, origin }: Setting, sentence: string): string {
  return `${origin}: ${key} ${sentence}.`
}

/** What the engine says of values that are right by themselves. */
function checkTogether({ engine }: ServerConfig): void {
  try {
    brokerSettings(engine, {}, 'kafka')
  } catch (error) {
    throw OttlaError.is(error) ? new InvalidServerConfig([error.message]) : error
  }
}

function outcomeOf(setting: Setting, effective: ReadonlyMap<string, Setting>, config: ServerConfig): string {
  const { key } = setting
  const winner = effective.get(key)
  if (winner !== undefined && winner !== setting) return withoutEffect(`${winner.origin} sets it again`)
  const known = findKey(key)
  if (known === undefined) {
    const nearest = nearestName(
      key,
      KEY_NAMES,
      KEY_NAMES.map((name) => [name]),
    )
    return `unknown to Kafka 4.2 and to ottla${nearest === undefined ? '' : `; did you mean ${nearest}?`}`
  }
  const reason = known.reason ?? whyNotForSecurity(known, config)
  return reason === undefined ? usedUnlessOutdone(key, effective) : withoutEffect(reason)
}

/** Why a key that secures listeners has none to secure; undefined where it has, and for all other keys. */
function whyNotForSecurity({ secures, listener }: ServerKey, { listeners }: ServerConfig): string | undefined {
  if (secures === undefined) return undefined
  const concerned = listeners.filter(({ name }) => listener === undefined || name.toLowerCase() === listener)
  if (concerned.length === 0) return `there is no listener ${listener?.toUpperCase()}`
  if (concerned.some((each) => each[secures] !== undefined)) return undefined
  return secures === 'tls' ? 'no listener speaks TLS' : 'no listener asks who a client is'
}

/** Keys that say one thing in several units or under several names: the first that is set holds. */
const PRECEDENCE: readonly (readonly string[])[] = [
  ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
  ['log.roll.ms', 'log.roll.hours'],
  ['log.dirs', 'log.dir'],
  ['log.flush.interval.messages', 'log.flush.interval.ms'],
]

function usedUnlessOutdone(key: string, effective: ReadonlyMap<string, Setting>): string {
  const stronger = PRECEDENCE.find((keys) => keys.includes(key))?.find((name) => effective.has(name))
  return stronger === undefined || stronger === key ? 'used' : withoutEffect(`${stronger} is set too`)
}

function withoutEffect(reason: string): string {
  return `without effect, because ${reason}`
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DEFAULT_LOG_DIR = './ottla-logs'
const DEFAULT_NODE_ID = 1
const LONGEST_TIMER_MS = 2 ** 31 - 1

function resolve(effective: ReadonlyMap<string, Setting>): ServerConfig {
  const given = (key: string): string | undefined => effective.get(key)?.value.trim()
  const defaultOf = (key: string): string => SERVER_KEYS.find(({ name }: ServerKey) => name === key)?.kafkaDefault ?? ''
  const number = (key: string): number => numberOf(given(key) ?? defaultOf(key))
  const boolean = (key: string): boolean => (given(key) ?? defaultOf(key)).toLowerCase() === 'true'
  return {
    engine: engineConfig(effective, given),
    nodeId: nodeId(effective, given),
    listeners: listeners(effective, given, defaultOf('listeners')),
    logDirs: [...new Set(itemsOf(given('log.dirs') ?? given('log.dir') ?? DEFAULT_LOG_DIR))],
    durability: durability(given),
    autoCreateTopics: boolean('auto.create.topics.enable'),
    deleteTopics: boolean('delete.topic.enable'),
    socketRequestMaxBytes: number('socket.request.max.bytes'),
    connectionsMaxIdleMs: noLimit(number('connections.max.idle.ms')),
    maxConnections: number('max.connections'),
  }
}

function engineConfig(effective: ReadonlyMap<string, Setting>, given: Given): Record<string, string> {
  const config: Record<string, string> = {}
  for (const { key, value } of effective.values()) {
    if (findKey(key)?.isOfEngine === true) config[key] = engineValue(key, value.trim())
  }
  const retentionMs = milliseconds(given, 'log.retention', true)
  if (retentionMs !== undefined) config['log.retention.ms'] = String(Math.max(retentionMs, -1))
  const rollMs = milliseconds(given, 'log.roll', false)
  if (rollMs !== undefined) config['log.roll.ms'] = String(rollMs)
  const retentionBytes = given('log.retention.bytes')
  if (retentionBytes !== undefined) config['log.retention.bytes'] = String(Math.max(numberOf(retentionBytes), -1))
  const offsetsMinutes = given('offsets.retention.minutes')
  if (offsetsMinutes !== undefined) config['offsets.retention.ms'] = String(numberOf(offsetsMinutes) * MINUTE_MS)
  return config
}

/** The finest unit goes first, as with Kafka. */
function milliseconds(given: Given, key: string, hasMinutes: boolean): number | undefined {
  const ms = given(`${key}.ms`)
  if (ms !== undefined) return numberOf(ms)
  const minutes = hasMinutes ? given(`${key}.minutes`) : undefined
  if (minutes !== undefined) return numberOf(minutes) * MINUTE_MS
  const hours = given(`${key}.hours`)
  return hours === undefined ? undefined : numberOf(hours) * HOUR_MS
}

function nodeId(effective: ReadonlyMap<string, Setting>, given: Given): number {
  const node = given('node.id')
  const broker = given('broker.id')
  const setting = effective.get('broker.id')
  if (setting !== undefined && node !== undefined && numberOf(node) !== Number(broker)) {
    throw new InvalidServerConfig([problem(setting, `cannot be ${broker} while node.id is ${node}: give one of them`)])
  }
  const id = Number(node ?? broker ?? DEFAULT_NODE_ID)
  return id < 0 ? DEFAULT_NODE_ID : id
}

function listeners(effective: ReadonlyMap<string, Setting>, given: Given, byDefault: string): ServerListener[] {
  try {
    const addresses = readListeners({
      listeners: given('listeners') ?? byDefault,
      advertised: given('advertised.listeners'),
      securityProtocolMap: given('listener.security.protocol.map'),
      controllerNames: given('controller.listener.names'),
    })
    return addresses.map((address) => ({ ...address, ...securityOf(address, given) }))
  } catch (error) {
    if (!(error instanceof InvalidListeners)) throw error
    // A key that is missing is missed by the listeners.
    const { origin } = effective.get(error.key) ?? effective.get('listeners') ?? { origin: 'By default' }
    const setting = { key: error.key, value: '', origin }
    throw new InvalidServerConfig([problem(setting, error.message)])
  }
}

/** Kafka leaves syncing to the operating system, unless one of its keys asks for more. */
function durability(given: Given): ServerConfig['durability'] {
  const messages = given('log.flush.interval.messages')
  const ms = given('log.flush.interval.ms')
  if (messages !== undefined) return { durability: isNoLimit(messages) ? 'os' : 'fsync' }
  if (ms === undefined || isNoLimit(ms)) return { durability: 'os' }
  if (Number(ms) === 0) return { durability: 'fsync' }
  return { durability: 'interval', syncIntervalMs: Math.min(Number(ms), LONGEST_TIMER_MS) }
}

function isNoLimit(value: string): boolean {
  return numberOf(value) === Number.MAX_SAFE_INTEGER
}

function noLimit(value: number): number {
  return value < 0 ? Number.POSITIVE_INFINITY : Math.max(value, 1)
}
