import { type BrokerConfig, listBrokerConfigs } from '../engine/config.js'
import {
  BOOLEAN,
  FILLED_LIST,
  int,
  type KeyValues,
  LIST,
  long,
  numberOf,
  oneOf,
  PASSWORD,
  STRING,
  short,
} from './key-values.js'
import { UNUSED_KEYS } from './unused-keys.js'

/** A key of server.properties: Kafka's name, and what it does here. */
export interface ServerKey {
  readonly name: string
  readonly values: KeyValues
  /** Kafka's, as text; '' where it has none. */
  readonly kafkaDefault: string
  /** What it does here. */
  readonly use?: string
  /** Why it does nothing here, to stand behind "because". */
  readonly reason?: string
  /** Handed to the engine as it is. */
  readonly isOfEngine?: boolean
  /** What it does is done by listeners with TLS, or with SASL. */
  readonly secures?: 'tls' | 'sasl'
  /** The listener that it is for, in small letters: of a key behind `listener.name.`. */
  readonly listener?: string
}

/** Kafka takes 0 for a mistake here, and all that is negative for no limit. */
function retention(of: (least?: number, most?: number) => KeyValues): KeyValues {
  const { type, allowed, accepts } = of()
  return {
    type,
    allowed: `${allowed}, but not 0: negative keeps messages for ever`,
    accepts: (value) => accepts(value) && Number(value) !== 0,
  }
}

const USED_BY_THE_SERVER: readonly ServerKey[] = [
  {
    name: 'listeners',
    values: FILLED_LIST,
    kafkaDefault: 'PLAINTEXT://:9092',
    use: 'Where to listen: NAME://HOST:PORT, several with commas. Without a host on all interfaces; port 0 takes one that is free.',
  },
  {
    name: 'advertised.listeners',
    values: FILLED_LIST,
    kafkaDefault: '',
    use: 'Where clients are told to connect to. Without it, or without a host in it, to the address by which they came.',
  },
  {
    name: 'listener.security.protocol.map',
    values: STRING,
    kafkaDefault: 'SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT',
    use: 'Which security the name of a listener stands for: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.',
  },
  {
    name: 'controller.listener.names',
    values: LIST,
    kafkaDefault: '',
    use: 'Listeners that are left closed, since they are for controllers.',
  },
  {
    name: 'node.id',
    values: int(0),
    kafkaDefault: '',
    use: 'The number of this broker. 1 where neither it nor broker.id is given.',
  },
  {
    name: 'broker.id',
    values: int(),
    kafkaDefault: '-1',
    use: 'The same by its older name; a negative one stands for none.',
  },
  {
    name: 'log.dirs',
    values: FILLED_LIST,
    kafkaDefault: '',
    use: 'The directories of the logs. A new partition goes to the one that holds the fewest. Without it and log.dir: ./ottla-logs.',
  },
  {
    name: 'log.dir',
    values: FILLED_LIST,
    kafkaDefault: '/tmp/kafka-logs',
    use: 'The same, where log.dirs is not given.',
  },
  {
    name: 'log.retention.ms',
    values: retention(long),
    kafkaDefault: '',
    use: 'How long messages are kept at least. Goes before log.retention.minutes.',
  },
  {
    name: 'log.retention.minutes',
    values: retention(int),
    kafkaDefault: '',
    use: 'The same in minutes. Goes before log.retention.hours.',
  },
  { name: 'log.retention.hours', values: retention(int), kafkaDefault: '168', use: 'The same in hours.' },
  {
    name: 'log.retention.bytes',
    values: long(),
    kafkaDefault: '-1',
    use: 'How large a partition grows before its oldest segments are dropped; negative without limit.',
  },
  {
    name: 'offsets.retention.minutes',
    values: int(1),
    kafkaDefault: '10080',
    use: 'How long the offsets of a group without members are kept.',
  },
  {
    name: 'log.roll.hours',
    values: int(1),
    kafkaDefault: '168',
    use: 'As log.roll.ms, where that is not given.',
  },
  {
    name: 'log.flush.interval.messages',
    values: long(1),
    kafkaDefault: '9223372036854775807',
    use: 'Any number: every write is synced before it is acknowledged, which is never later than Kafka would.',
  },
  {
    name: 'log.flush.interval.ms',
    values: long(0),
    kafkaDefault: '',
    use: 'What was written is synced after this time. Without it and log.flush.interval.messages the operating system syncs, as with Kafka.',
  },
  {
    name: 'auto.create.topics.enable',
    values: BOOLEAN,
    kafkaDefault: 'true',
    use: 'Whether a client that asks for a topic creates it.',
  },
  { name: 'delete.topic.enable', values: BOOLEAN, kafkaDefault: 'true', use: 'Whether clients can delete topics.' },
  {
    name: 'socket.request.max.bytes',
    values: int(1024),
    kafkaDefault: '104857600',
    use: 'How large a request may be. A connection that sends a larger one is closed.',
  },
  {
    name: 'connections.max.idle.ms',
    values: long(),
    kafkaDefault: '600000',
    use: 'How long a connection may be idle before it is closed; negative for ever.',
  },
  {
    name: 'max.connections',
    values: int(1),
    kafkaDefault: '2147483647',
    use: 'How many connections a listener takes.',
  },
]

const PLAIN_JAAS = 'listener.name.NAME.plain.sasl.jaas.config'

/** What listeners with SSL or SASL in their security need. Each may stand behind listener.name.NAME. too. */
const SECURITY: readonly ServerKey[] = [
  {
    name: 'ssl.keystore.type',
    values: STRING,
    kafkaDefault: 'JKS',
    use: "PEM or PKCS12. Java's own JKS cannot be read, and is refused.",
    secures: 'tls',
  },
  {
    name: 'ssl.keystore.location',
    values: STRING,
    kafkaDefault: '',
    use: 'The file with the private key and its certificates.',
    secures: 'tls',
  },
  {
    name: 'ssl.keystore.password',
    values: PASSWORD,
    kafkaDefault: '',
    use: 'The password of a file of PKCS12.',
    secures: 'tls',
  },
  {
    name: 'ssl.keystore.key',
    values: PASSWORD,
    kafkaDefault: '',
    use: 'The private key itself as PEM, instead of a file.',
    secures: 'tls',
  },
  {
    name: 'ssl.keystore.certificate.chain',
    values: PASSWORD,
    kafkaDefault: '',
    use: 'The certificates to that key as PEM.',
    secures: 'tls',
  },
  {
    name: 'ssl.key.password',
    values: PASSWORD,
    kafkaDefault: '',
    use: 'The password of a private key that is PEM.',
    secures: 'tls',
  },
  {
    name: 'ssl.client.auth',
    values: oneOf('required', 'requested', 'none'),
    kafkaDefault: 'none',
    use: 'Whether clients need a certificate. requested is refused.',
    secures: 'tls',
  },
  {
    name: 'ssl.truststore.type',
    values: STRING,
    kafkaDefault: 'JKS',
    use: 'PEM, where clients need a certificate.',
    secures: 'tls',
  },
  {
    name: 'ssl.truststore.location',
    values: STRING,
    kafkaDefault: '',
    use: 'The file with the certificates of those who sign for clients.',
    secures: 'tls',
  },
  {
    name: 'ssl.truststore.certificates',
    values: PASSWORD,
    kafkaDefault: '',
    use: 'These certificates themselves, instead of a file.',
    secures: 'tls',
  },
  {
    name: 'ssl.enabled.protocols',
    values: LIST,
    kafkaDefault: 'TLSv1.2,TLSv1.3',
    use: 'Which versions of TLS are spoken.',
    secures: 'tls',
  },
  {
    name: 'sasl.enabled.mechanisms',
    values: LIST,
    kafkaDefault: 'GSSAPI',
    use: `How clients prove who they are: some of PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. Their users stand in ${PLAIN_JAAS}.`,
    secures: 'sasl',
  },
]

const ALONE = 'there is one broker, and one copy of each partition'
const ZOOKEEPER = 'topics and configs are kept in the log __cluster_metadata, not in ZooKeeper'
const CONTROLLER = 'this broker is its own controller, alone'
const THREADS = 'one event loop serves every connection, and answers the requests of each in order'
const SOCKETS = 'Node leaves the buffers of sockets to the operating system'
const DISKS = "Node's own threads read and write, several partitions at once"
const TRANSACTIONS = 'transactions are not offered'

/** What an introduction to Kafka sets. */
const USUAL_BUT_UNUSED: readonly ServerKey[] = [
  { name: 'num.network.threads', values: int(1), kafkaDefault: '3', reason: THREADS },
  { name: 'num.io.threads', values: int(1), kafkaDefault: '8', reason: DISKS },
  { name: 'num.recovery.threads.per.data.dir', values: int(1), kafkaDefault: '2', reason: DISKS },
  { name: 'socket.send.buffer.bytes', values: int(), kafkaDefault: '102400', reason: SOCKETS },
  { name: 'socket.receive.buffer.bytes', values: int(), kafkaDefault: '102400', reason: SOCKETS },
  { name: 'offsets.topic.replication.factor', values: short(1), kafkaDefault: '3', reason: ALONE },
  { name: 'default.replication.factor', values: int(), kafkaDefault: '1', reason: ALONE },
  { name: 'min.insync.replicas', values: int(1), kafkaDefault: '1', reason: ALONE },
  { name: 'transaction.state.log.replication.factor', values: short(1), kafkaDefault: '3', reason: TRANSACTIONS },
  { name: 'transaction.state.log.min.isr', values: int(1), kafkaDefault: '2', reason: TRANSACTIONS },
  { name: 'zookeeper.connect', values: STRING, kafkaDefault: '', reason: ZOOKEEPER },
  { name: 'zookeeper.connection.timeout.ms', values: int(), kafkaDefault: '', reason: ZOOKEEPER },
  { name: 'process.roles', values: { ...LIST, ...roles() }, kafkaDefault: '', reason: CONTROLLER },
  { name: 'controller.quorum.voters', values: LIST, kafkaDefault: '', reason: CONTROLLER },
  { name: 'controller.quorum.bootstrap.servers', values: LIST, kafkaDefault: '', reason: CONTROLLER },
  {
    name: 'inter.broker.listener.name',
    values: STRING,
    kafkaDefault: '',
    reason: 'there is no other broker to speak to',
  },
]

/** A broker that checks nobody, though its file says that it should, would be open to all. */
const REFUSED: readonly ServerKey[] = [
  {
    name: 'authorizer.class.name',
    values: {
      ...STRING,
      allowed:
        'nothing yet: permissions are not checked here, and a broker that starts without them is open to everyone who reaches it',
      accepts: (value) => value === '',
    },
    kafkaDefault: '',
    reason: 'permissions are not checked here',
  },
]

/** The table. Of two rows of one name the first holds: the server's own reading goes before the engine's. */
export const SERVER_KEYS: readonly ServerKey[] = uniqueByName([
  ...USED_BY_THE_SERVER,
  // Kafka counts that one in minutes, and has no other name for it.
  ...listBrokerConfigs()
    .filter(({ name }) => name !== 'offsets.retention.ms')
    .map(engineKey),
  ...SECURITY,
  ...USUAL_BUT_UNUSED,
  ...REFUSED,
])

const KEYS_BY_NAME: ReadonlyMap<string, ServerKey> = new Map(
  [...UNUSED_KEYS.flatMap(unusedKeys), ...SERVER_KEYS].map((key) => [key.name, key]),
)

/** Kafka's names of all keys that are known here. */
export const KEY_NAMES: readonly string[] = [...KEYS_BY_NAME.keys()]

/**
 * What is known of a key. `listener.name.X.` before a key sets it for one listener, and a plugin's own keys have its
 * prefix.
 */
export function findKey(name: string): ServerKey | undefined {
  const own = KEYS_BY_NAME.get(name)
  if (own !== undefined) return own
  const [, listener, mechanism, ofListener] =
    /^listener\.name\.([^.]+)\.(?:(plain|scram-sha-\d+|gssapi|oauthbearer)\.)?(.+)$/.exec(name) ?? []
  const key = ofListener === undefined ? undefined : KEYS_BY_NAME.get(ofListener)
  if (key === undefined || listener === undefined) return undefined
  const { values } = key
  if (mechanism === undefined && key.secures !== undefined) return { ...key, name, kafkaDefault: '', listener }
  if (ofListener === JAAS && mechanism !== undefined && /^(plain|scram)/.test(mechanism)) {
    return { name, values, kafkaDefault: '', use: 'The users of a mechanism.', secures: 'sasl', listener }
  }
  return { name, values, kafkaDefault: '', reason: key.reason ?? 'all listeners here are set in one way' }
}

const JAAS = 'sasl.jaas.config'

function engineKey({ name, type, allowed, kafkaDefault, documentation, accepts }: BrokerConfig): ServerKey {
  const values: KeyValues = {
    type,
    // Up to Kafka's largest, since what is above JavaScript's is brought down to it.
    allowed: type === 'LONG' ? allowed.replace(/ to \d+.*/, ' to 9223372036854775807') : allowed,
    accepts: (value) => accepts(engineValue(name, value)),
  }
  return { name, values, kafkaDefault, use: documentation, isOfEngine: true }
}

/** The value as the engine takes it, which knows no number above JavaScript's. */
export function engineValue(name: string, value: string): string {
  const isLong = KEYS_BY_NAME.get(name)?.values.type === 'LONG'
  return isLong && long().accepts(value) ? String(numberOf(value)) : value
}

function roles(): Pick<KeyValues, 'allowed' | 'accepts'> {
  const role = oneOf('broker', 'controller')
  return {
    allowed: 'broker, controller or broker,controller',
    accepts: (value) => value.split(',').every((item) => role.accepts(item.trim())),
  }
}

function unusedKeys({ reason, keys }: (typeof UNUSED_KEYS)[number]): ServerKey[] {
  return Object.entries(keys).map(([name, values]) => ({ name, values, kafkaDefault: '', reason }))
}

function uniqueByName(keys: readonly ServerKey[]): ServerKey[] {
  return keys.filter(({ name }, index) => keys.findIndex((other) => other.name === name) === index)
}
