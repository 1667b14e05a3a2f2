import { parseJaasConfig } from './jaas-config.js'
import { itemsOf } from './key-values.js'
import { InvalidListeners, type ListenerAddress } from './listeners.js'

/** How a listener is kept. */
export interface ListenerSecurity {
  readonly tls: ListenerTls | undefined
  readonly sasl: ListenerSasl | undefined
}

/** A door to open, and how it is kept. */
export type ServerListener = ListenerAddress & ListenerSecurity

/** What ssl.* says of a listener. Files are read when it is opened. */
export interface ListenerTls {
  readonly keystore:
    | { readonly type: 'PEM'; readonly location: string; readonly keyPassword: string | undefined }
    | {
        readonly type: 'PEM'
        readonly key: string
        readonly certificateChain: string
        readonly keyPassword: string | undefined
      }
    | { readonly type: 'PKCS12'; readonly location: string; readonly password: string | undefined }
  /** Whose certificates are good; undefined where clients need none. */
  readonly truststore: { readonly location: string } | { readonly certificates: string } | undefined
  readonly minVersion: TlsVersion
  readonly maxVersion: TlsVersion
}

export interface ListenerSasl {
  readonly mechanisms: readonly Mechanism[]
  /** Passwords by user. */
  readonly users: Readonly<Record<string, string>>
}

type Mechanism = (typeof MECHANISMS)[number]
type TlsVersion = (typeof TLS_VERSIONS)[number]

const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const
const MODULES: Readonly<Record<Mechanism, string>> = {
  PLAIN: 'PlainLoginModule',
  'SCRAM-SHA-256': 'ScramLoginModule',
  'SCRAM-SHA-512': 'ScramLoginModule',
}
/** What names a user, in Kafka's PlainLoginModule. */
const USER = 'user_'

/** The value of a key that is set; undefined without one. */
export type Given = (key: string) => string | undefined

/** What the keys say of a listener, its own before the common ones. Throws InvalidListeners. */
export function securityOf(address: ListenerAddress, given: Given): ListenerSecurity {
  const { protocol } = address
  return {
    tls: protocol === 'SSL' || protocol === 'SASL_SSL' ? tlsOf(keysOf(address, given)) : undefined,
    sasl: protocol.startsWith('SASL_') ? saslOf(address, keysOf(address, given)) : undefined,
  }
}

interface ListenerKey {
  /** As it stands in the file, or would best. */
  readonly key: string
  readonly value: string | undefined
}

type Keys = (key: string) => ListenerKey

function keysOf({ name }: ListenerAddress, given: Given): Keys {
  return (key) => {
    const own = `listener.name.${name.toLowerCase()}.${key}`
    const value = given(own)
    return value === undefined ? { key, value: given(key) } : { key: own, value }
  }
}

function tlsOf(keys: Keys): ListenerTls {
  const protocols = itemsOf(keys('ssl.enabled.protocols').value ?? 'TLSv1.2,TLSv1.3')
  const versions = TLS_VERSIONS.filter((version) => protocols.includes(version))
  const [minVersion, maxVersion] = [versions[0], versions.at(-1)]
  if (minVersion === undefined || maxVersion === undefined || versions.length < protocols.length) {
    throw wrong(keys('ssl.enabled.protocols'), `takes some of ${TLS_VERSIONS.join(', ')}`)
  }
  return { keystore: keystoreOf(keys), truststore: truststoreOf(keys), minVersion, maxVersion }
}

function keystoreOf(keys: Keys): ListenerTls['keystore'] {
  const type = keys('ssl.keystore.type')
  const location = keys('ssl.keystore.location')
  if (type.value === 'PKCS12') {
    if (location.value === undefined) throw wrong(location, 'is needed: the file with the key and the certificates')
    return { type: 'PKCS12', location: location.value, password: keys('ssl.keystore.password').value }
  }
  if (type.value !== 'PEM') {
    throw wrong(
      type,
      `takes PEM or PKCS12 here, and ${type.value === undefined ? 'is JKS by default' : `not ${type.value}`}: Java's own stores cannot be read; keytool -importkeystore -deststoretype pkcs12 makes one that can`,
    )
  }
  const keyPassword = keys('ssl.key.password').value
  if (location.value !== undefined) return { type: 'PEM', location: location.value, keyPassword }
  const [key, chain] = [keys('ssl.keystore.key'), keys('ssl.keystore.certificate.chain')]
  if (key.value === undefined) {
    throw wrong(location, 'is needed: the file with the private key and the certificates, or ssl.keystore.key instead')
  }
  if (chain.value === undefined) throw wrong(chain, 'is needed beside ssl.keystore.key')
  return { type: 'PEM', key: key.value, certificateChain: chain.value, keyPassword }
}

function truststoreOf(keys: Keys): ListenerTls['truststore'] {
  const clientAuth = keys('ssl.client.auth')
  if (clientAuth.value === undefined || clientAuth.value === 'none') return undefined
  if (clientAuth.value === 'requested') {
    throw wrong(clientAuth, 'takes required or none here: who shows no good certificate is not told from the others')
  }
  const type = keys('ssl.truststore.type')
  if (type.value !== 'PEM') throw wrong(type, 'takes PEM here: a file of certificates one after the other')
  const [location, certificates] = [keys('ssl.truststore.location'), keys('ssl.truststore.certificates')]
  if (location.value !== undefined) return { location: location.value }
  if (certificates.value !== undefined) return { certificates: certificates.value }
  throw wrong(location, 'is needed: the file with the certificates of those who sign for clients')
}

function saslOf({ name }: ListenerAddress, keys: Keys): ListenerSasl {
  const enabled = keys('sasl.enabled.mechanisms')
  const named = itemsOf(enabled.value ?? 'GSSAPI').map((mechanism) => mechanism.toUpperCase())
  const mechanisms = MECHANISMS.filter((mechanism) => named.includes(mechanism))
  if (mechanisms.length < named.length || mechanisms.length === 0) {
    const byDefault = enabled.value === undefined ? ', and is GSSAPI by default' : ''
    throw wrong(enabled, `takes some of ${MECHANISMS.join(', ')} here${byDefault}`)
  }
  const users = new Map<string, string>()
  for (const mechanism of mechanisms) {
    const { value } = keys(`${mechanism.toLowerCase()}.sasl.jaas.config`)
    const jaas = { key: `listener.name.${name.toLowerCase()}.${mechanism.toLowerCase()}.sasl.jaas.config`, value }
    for (const [user, password] of usersOf(jaas, mechanism)) {
      if ((users.get(user) ?? password) !== password) throw wrong(jaas, `gives user ${user} a second password`)
      users.set(user, password)
    }
  }
  return { mechanisms, users: Object.fromEntries(users) }
}

function usersOf(jaas: ListenerKey, mechanism: Mechanism): [string, string][] {
  const module = MODULES[mechanism]
  const form = `org.apache.kafka.common.security.${module.startsWith('Plain') ? 'plain' : 'scram'}.${module} required user_alice="password";`
  if (jaas.value === undefined) throw wrong(jaas, `is needed, which names the users: ${form}`)
  const entry = parseJaasConfig(jaas.value)
  if (entry?.module !== module) throw wrong(jaas, `takes ${form}`)
  const users = [...entry.options].flatMap(([option, value]): [string, string][] =>
    option.startsWith(USER) ? [[option.slice(USER.length), value]] : [],
  )
  if (users.length === 0) throw wrong(jaas, `names no user: it takes ${form}`)
  return users
}

function wrong({ key }: ListenerKey, problem: string): InvalidListeners {
  return new InvalidListeners(key, problem)
}
