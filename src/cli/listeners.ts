import { itemsOf } from './key-values.js'

/** A door to open. */
export interface ListenerAddress {
  /** In capitals, as Kafka has it. */
  readonly name: string
  readonly protocol: SecurityProtocol
  /** '' for all interfaces. */
  readonly host: string
  readonly port: number
  /** What clients are told instead; a host of '' stands for the one that they came by. */
  readonly advertised: { readonly host: string; readonly port: number } | undefined
}

/** The keys that say where to listen, as they stand in the file or by default. */
export interface ListenerKeys {
  readonly listeners: string
  readonly advertised: string | undefined
  readonly securityProtocolMap: string | undefined
  readonly controllerNames: string | undefined
}

/** Says which key is wrong, and what is wrong with it: the message follows on the name of the key. */
export class InvalidListeners extends Error {
  readonly key: string

  constructor(key: string, problem: string) {
    super(problem)
    this.key = key
  }
}

interface Endpoint {
  readonly text: string
  readonly name: string
  readonly host: string
  readonly port: number
}

type SecurityProtocol = (typeof SECURITY_PROTOCOLS)[number]

const SECURITY_PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const
const FORM = 'NAME://HOST:PORT, such as PLAINTEXT://localhost:9092 or, on all interfaces, PLAINTEXT://:9092'

/** The doors for clients, as Kafka reads the keys; those for controllers are left out. Throws InvalidListeners. */
export function readListeners(keys: ListenerKeys): ListenerAddress[] {
  const endpoints = endpointsOf('listeners', keys.listeners)
  checkPorts(endpoints)
  const controllers = new Set((keys.controllerNames ?? '').split(',').map(upperCase))
  const forClients = endpoints.filter(({ name }) => !controllers.has(name))
  if (forClients.length === 0) {
    throw new InvalidListeners('listeners', 'has listeners for controllers alone: add one for clients')
  }
  const protocols = securityProtocols(keys.securityProtocolMap)
  const advertised = advertisedEndpoints(keys.advertised, forClients, controllers)
  return forClients.map((endpoint) => {
    const { name, host, port } = endpoint
    return { name, protocol: protocolOf(endpoint, protocols), host, port, advertised: advertised.get(name) }
  })
}

function endpointsOf(key: string, list: string): Endpoint[] {
  const endpoints = itemsOf(list).map((text) => endpointOf(key, text))
  const repeated = endpoints.find(({ name }, index) => endpoints.findIndex((other) => other.name === name) < index)
  if (repeated !== undefined)
    throw new InvalidListeners(key, `names ${repeated.name} twice: give each a name of its own`)
  return endpoints
}

function endpointOf(key: string, text: string): Endpoint {
  const [, name, host, port] = /^(.+):\/\/\[?([0-9a-zA-Z\-%._:]*)\]?:(\d+)$/.exec(text) ?? []
  if (name === undefined || host === undefined || port === undefined) {
    throw new InvalidListeners(key, `cannot be '${text}': it takes ${FORM}`)
  }
  if (Number(port) > 65_535)
    throw new InvalidListeners(key, `cannot have the port ${port}: it takes one from 0 to 65535`)
  return { text, name: upperCase(name), host, port: Number(port) }
}

/** One port may be open once in IPv4 and once in IPv6. */
function checkPorts(endpoints: readonly Endpoint[]): void {
  for (const [index, { port, host, text }] of endpoints.entries()) {
    const others = endpoints.slice(0, index).filter((other) => other.port === port && port !== 0)
    const areApart = others.every((other) => areOfTwoFamilies(other.host, host) || areOfTwoFamilies(host, other.host))
    if (areApart && others.length < 2) continue
    throw new InvalidListeners(
      'listeners',
      `has the port ${port} a second time, in ${text}: give each a port of its own`,
    )
  }
}

function areOfTwoFamilies(ipv4: string, ipv6: string): boolean {
  return /^[\d.]+$/.test(ipv4) && ipv6.includes(':')
}

function securityProtocols(map: string | undefined): ReadonlyMap<string, SecurityProtocol> {
  const byDefault: [string, SecurityProtocol][] = SECURITY_PROTOCOLS.map((protocol) => [protocol, protocol])
  if (map === undefined || map.trim() === '') return new Map(byDefault)
  const key = 'listener.security.protocol.map'
  return new Map(
    itemsOf(map).map((item): [string, SecurityProtocol] => {
      const [, name, text] = /^([^:]+):([^:]+)$/.exec(item) ?? []
      if (name === undefined || text === undefined) {
        throw new InvalidListeners(key, `cannot hold '${item}': it takes NAME:PROTOCOL, several with commas`)
      }
      const protocol = SECURITY_PROTOCOLS.find((known) => known === upperCase(text))
      if (protocol === undefined) {
        const allowed = SECURITY_PROTOCOLS.join(', ')
        throw new InvalidListeners(key, `cannot hold '${item}': the protocol is one of ${allowed}`)
      }
      return [upperCase(name), protocol]
    }),
  )
}

function protocolOf({ name, text }: Endpoint, protocols: ReadonlyMap<string, SecurityProtocol>): SecurityProtocol {
  const protocol = protocols.get(name)
  if (protocol === undefined) {
    const advice = `name its security in listener.security.protocol.map, as ${name}:PLAINTEXT`
    throw new InvalidListeners('listeners', `has ${text}, and no security protocol is defined for ${name}: ${advice}`)
  }
  return protocol
}

function advertisedEndpoints(
  list: string | undefined,
  listeners: readonly Endpoint[],
  controllers: ReadonlySet<string>,
): Map<string, Endpoint> {
  const key = 'advertised.listeners'
  if (list === undefined) return new Map()
  const endpoints = endpointsOf(key, list).filter(({ name }) => !controllers.has(name))
  for (const { name, host, text } of endpoints) {
    if (!listeners.some((listener) => listener.name === name)) {
      throw new InvalidListeners(key, `has ${text}, but listeners has no ${name}`)
    }
    if (host === '0.0.0.0' || host === '::') {
      throw new InvalidListeners(
        key,
        `cannot be ${text}: nobody can connect to ${host}, give the address that clients use`,
      )
    }
  }
  return new Map(endpoints.map((endpoint) => [endpoint.name, endpoint]))
}

function upperCase(name: string): string {
  return name.trim().toUpperCase()
}
