import { expect, it } from 'vitest'
import { InvalidServerConfig, readServerConfig, type Setting } from '../../src/cli/server-config.js'

function settings(lines: readonly string[]): Setting[] {
  return lines.map((line, index) => {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/.exec(line) ?? []
    return { key, value, origin: `line ${index + 1}` }
  })
}

const listenersOf = (...lines: string[]) => readServerConfig(settings(lines)).config.listeners
const outcomesOf = (...lines: string[]) => readServerConfig(settings(lines)).reports.map(({ outcome }) => outcome)

function problemOf(...lines: string[]): string {
  try {
    listenersOf(...lines)
  } catch (error) {
    if (error instanceof InvalidServerConfig) return error.message
    throw error
  }
  return 'nothing'
}

const PEM = ['ssl.keystore.type=PEM', 'ssl.keystore.location=server.pem']
const PLAIN = ['sasl.enabled.mechanisms=PLAIN']
const jaas = (users: string, name = 'sasl_plaintext', mechanism = 'plain', module = 'plain.PlainLoginModule') =>
  `listener.name.${name}.${mechanism}.sasl.jaas.config=org.apache.kafka.common.security.${module} required ${users};`

it('a listener without security has none, and the keys for it are without effect', () => {
  expect(listenersOf('listeners=PLAINTEXT://:1')[0]).toMatchObject({ tls: undefined, sasl: undefined })
  expect(outcomesOf(...PEM, ...PLAIN, jaas('user_a="b"'), 'listener.name.plaintext.ssl.client.auth=required')).toEqual([
    'without effect, because no listener speaks TLS',
    'without effect, because no listener speaks TLS',
    'without effect, because no listener asks who a client is',
    'without effect, because there is no listener SASL_PLAINTEXT',
    'without effect, because no listener speaks TLS',
  ])
})

it('TLS is set up from a file of PEM, from PEM in the properties, or from PKCS12', () => {
  const ssl = 'listeners=SSL://:1'
  const versions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }
  const fromFile = { type: 'PEM', location: 'server.pem', keyPassword: undefined }
  expect(listenersOf(ssl, ...PEM)[0]?.tls).toEqual({ keystore: fromFile, truststore: undefined, ...versions })
  const inline = ['ssl.keystore.key=K', 'ssl.keystore.certificate.chain=C', 'ssl.key.password=P']
  expect(listenersOf(ssl, 'ssl.keystore.type=PEM', ...inline)[0]?.tls?.keystore).toEqual({
    type: 'PEM',
    key: 'K',
    certificateChain: 'C',
    keyPassword: 'P',
  })
  const pkcs12 = ['ssl.keystore.type=PKCS12', 'ssl.keystore.location=a.p12', 'ssl.keystore.password=P']
  expect(listenersOf(ssl, ...pkcs12, 'ssl.enabled.protocols=TLSv1.3')[0]?.tls).toEqual({
    keystore: { type: 'PKCS12', location: 'a.p12', password: 'P' },
    truststore: undefined,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
  })
  const truststore = ['ssl.client.auth=required', 'ssl.truststore.type=PEM', 'ssl.truststore.location=ca.pem']
  expect(listenersOf(ssl, ...PEM, ...truststore)[0]?.tls?.truststore).toEqual({ location: 'ca.pem' })
  expect(outcomesOf(ssl, ...PEM, ...truststore)).toEqual(Array(6).fill('used'))
})

it("a listener's own keys go before the common ones", () => {
  const lines = [
    'listeners=IN://:1,OUT://:2',
    'listener.security.protocol.map=IN:PLAINTEXT,OUT:SASL_SSL',
    ...PEM,
    'listener.name.out.ssl.keystore.location=out.pem',
    'listener.name.out.sasl.enabled.mechanisms=SCRAM-SHA-512',
    jaas('user_alice="secret" user_bob="b"', 'out', 'scram-sha-512', 'scram.ScramLoginModule'),
  ]
  const [inside, outside] = listenersOf(...lines)
  expect([inside?.tls, inside?.sasl]).toEqual([undefined, undefined])
  expect(outside?.tls?.keystore).toMatchObject({ location: 'out.pem' })
  expect(outside?.sasl).toEqual({ mechanisms: ['SCRAM-SHA-512'], users: { alice: 'secret', bob: 'b' } })
  expect(outcomesOf(...lines).slice(4)).toEqual(['used', 'used', 'used'])
})

it.each([
  [['listeners=SSL://:1'], 'line 1: ssl.keystore.type takes PEM or PKCS12 here, and is JKS by default'],
  [['listeners=SSL://:1', 'ssl.keystore.type=JKS'], 'line 2: ssl.keystore.type takes PEM or PKCS12 here, and not JKS'],
  [['listeners=SSL://:1', 'ssl.keystore.type=PEM'], 'line 1: ssl.keystore.location is needed'],
  [['listeners=SSL://:1', 'ssl.keystore.type=PKCS12'], 'line 1: ssl.keystore.location is needed'],
  [['listeners=SSL://:1', 'ssl.keystore.type=PEM', 'ssl.keystore.key=K'], 'certificate.chain is needed beside'],
  [['listeners=SSL://:1', ...PEM, 'ssl.enabled.protocols=SSLv3'], 'line 4: ssl.enabled.protocols takes some of TLSv1,'],
  [['listeners=SSL://:1', ...PEM, 'ssl.client.auth=requested'], 'line 4: ssl.client.auth takes required or none here'],
  [['listeners=SSL://:1', ...PEM, 'ssl.client.auth=required'], 'line 1: ssl.truststore.type takes PEM here'],
  [
    ['listeners=SSL://:1', ...PEM, 'ssl.client.auth=required', 'ssl.truststore.type=PEM'],
    'line 1: ssl.truststore.location is needed',
  ],
  [
    ['listeners=SASL_PLAINTEXT://:1'],
    'line 1: sasl.enabled.mechanisms takes some of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 here, and is GSSAPI by default',
  ],
  [
    ['listeners=SASL_PLAINTEXT://:1', 'sasl.enabled.mechanisms=PLAIN,OAUTHBEARER'],
    'line 2: sasl.enabled.mechanisms takes',
  ],
  [
    ['listeners=SASL_PLAINTEXT://:1', ...PLAIN],
    'line 1: listener.name.sasl_plaintext.plain.sasl.jaas.config is needed',
  ],
  [['listeners=SASL_PLAINTEXT://:1', ...PLAIN, jaas('username="a"')], 'names no user'],
  [
    ['listeners=SASL_PLAINTEXT://:1', ...PLAIN, jaas('user_a')],
    'takes org.apache.kafka.common.security.plain.PlainLoginModule',
  ],
  [
    [
      'listeners=SASL_PLAINTEXT://:1',
      'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256',
      jaas('user_a="one"'),
      jaas('user_a="two"', 'sasl_plaintext', 'scram-sha-256', 'scram.ScramLoginModule'),
    ],
    'line 4: listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config gives user a a second password',
  ],
])('%j cannot be kept as it should, and is refused', (lines, sentence) => {
  const problem = problemOf(...lines)
  expect(problem).toContain(sentence)
  for (const secret of ['"one"', '"two"', 'user_a"']) expect(problem).not.toContain(secret)
})
