import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Kafka, type KafkaConfig, logLevel } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { type CliProcess, commandLine, folders } from './cli-process.js'

const run = commandLine()
const folder = folders()

// A certificate for 127.0.0.1 that signs itself, with its key: made for these tests alone.
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url))
const ca = [readFileSync(fixture('cert.pem'), 'utf8')]

function start(lines: readonly string[]): CliProcess {
  const cwd = folder()
  for (const name of ['server.pem', 'encrypted.pem', 'server.p12', 'cert.pem'])
    copyFileSync(fixture(name), join(cwd, name))
  writeFileSync(join(cwd, 'server.properties'), ['log.dirs=data', ...lines].join('\n'))
  return run(cwd, ['server-start', 'server.properties'])
}

/** Creates a topic and lists it, or tells why not. */
async function listTopics(server: CliProcess, config: Partial<KafkaConfig>): Promise<string[] | string> {
  const brokers = [await server.bootstrapServers()]
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { retries: 0 }, ...config })
  const admin = kafka.admin()
  try {
    await admin.connect()
    await admin.createTopics({ topics: [{ topic: 'notes' }], waitForLeaders: true })
    return await admin.listTopics()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await admin.disconnect()
  }
}

const SCRAM = [
  'listeners=SASL_SSL://127.0.0.1:0',
  'sasl.enabled.mechanisms=SCRAM-SHA-256',
  'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=\\',
  '  org.apache.kafka.common.security.scram.ScramLoginModule required user_alice="secret";',
]

describe('a server with secured listeners', () => {
  it.each([
    ['PEM', ['ssl.keystore.type=PEM', 'ssl.keystore.location=server.pem']],
    [
      'PEM with a password',
      ['ssl.keystore.type=PEM', 'ssl.keystore.location=encrypted.pem', 'ssl.key.password=secret'],
    ],
    ['PKCS12', ['ssl.keystore.type=PKCS12', 'ssl.keystore.location=server.p12', 'ssl.keystore.password=changeit']],
  ])('talks TLS with a keystore of %s, and asks who a client is', async (_, keystore) => {
    const server = start([...SCRAM, ...keystore])
    // kafkajs keeps what proves a password in the options that it was given: they are made anew for each client.
    const as = (password: string) => ({ mechanism: 'scram-sha-256' as const, username: 'alice', password })
    expect(await listTopics(server, { ssl: { ca }, sasl: as('secret') })).toEqual(['notes'])
    expect(await listTopics(server, { ssl: { ca }, sasl: as('wrong') })).toMatch(/invalid credentials/)
    expect(await listTopics(server, { ssl: { ca } })).not.toContain('notes')
    expect(server.stdout).not.toMatch(/"secret"|changeit/)
    expect(await server.stop()).toBe(0)
  })

  it('takes clients with a good certificate alone, where they need one', async () => {
    const server = start([
      'listeners=SSL://127.0.0.1:0',
      ...['ssl.keystore.type=PEM', 'ssl.keystore.location=server.pem'],
      ...['ssl.client.auth=required', 'ssl.truststore.type=PEM', 'ssl.truststore.location=cert.pem'],
    ])
    const pem = readFileSync(fixture('server.pem'), 'utf8')
    expect(await listTopics(server, { ssl: { ca, key: pem, cert: pem } })).toEqual(['notes'])
    expect(await listTopics(server, { ssl: { ca } })).not.toContain('notes')
    expect(await server.stop()).toBe(0)
  })

  it.each([
    [['ssl.keystore.type=PEM', 'ssl.keystore.location=missing.pem'], 'There is no file missing.pem.'],
    [['ssl.keystore.type=PEM', 'ssl.keystore.location=cert.pem'], 'TLS cannot be set up from cert.pem:'],
    [
      ['ssl.keystore.type=PKCS12', 'ssl.keystore.location=server.p12', 'ssl.keystore.password=wrong'],
      'TLS cannot be set up from server.p12:',
    ],
  ])('does not start where TLS cannot be set up: %j', async (keystore, sentence) => {
    const server = start(['listeners=SSL://127.0.0.1:0', ...keystore])
    expect(await server.ended).toBe(1)
    expect(server.stdout).not.toContain('Listening')
    expect(server.stderr).toContain(sentence)
    expect(server.stderr).not.toMatch(/^\s+at /m)
  })
})
