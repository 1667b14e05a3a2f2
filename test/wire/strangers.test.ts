import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { connect as connectTls, type TlsOptions } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { apiVersions } from '../../src/protocol/messages/api-versions.js'
import { metadata } from '../../src/protocol/messages/metadata.js'
import { saslAuthenticate } from '../../src/protocol/messages/sasl-authenticate.js'
import { saslHandshake } from '../../src/protocol/messages/sasl-handshake.js'
import { codeOf } from '../client/brokers.js'
import { doors } from './listeners.js'
import { WireClient } from './wire-client.js'

const open = doors()
const users = { alice: 'secret', 'b,o=b': 'pässword' }
const plain = (user: string, password: string, actAs = ''): Buffer => Buffer.from([actAs, user, password].join('\0'))

/** The client's side of SCRAM: gives its messages, and takes the server's. */
function scramClient(hash: 'sha256' | 'sha512', user: string, password: string, repeatNonce = false) {
  const bare = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=clientNonce`
  const hmac = (key: Uint8Array, text: string): Buffer => createHmac(hash, key).update(text).digest()
  let salted: Buffer
  let signed: string
  return {
    first: Buffer.from(`n,,${bare}`),
    final(serverFirst: Uint8Array): Buffer {
      const message = Buffer.from(serverFirst).toString()
      const [, nonce = '', salt = '', iterations] = /^r=(clientNonce[^,]+),s=([^,]+),i=(\d+)$/.exec(message) ?? []
      expect(Number(iterations)).toBe(4096)
      const size = hash === 'sha256' ? 32 : 64
      salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), size, hash)
      const unproved = `c=${Buffer.from('n,,').toString('base64')},r=${repeatNonce ? 'clientNonce' : ''}${nonce}`
      signed = `${bare},${message},${unproved}`
      const clientKey = hmac(salted, 'Client Key')
      const signature = hmac(createHash(hash).update(clientKey).digest(), signed)
      const proof = clientKey.map((byte, i) => byte ^ (signature[i] ?? 0))
      return Buffer.from(`${unproved},p=${Buffer.from(proof).toString('base64')}`)
    },
    serverProof: () => `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`,
  }
}

describe('a listener that asks who is there', () => {
  it.each([0, 1, 2])('lets in whoever knows a password, by PLAIN, version %i', async (version) => {
    const { client } = await open({ sasl: { users } })
    const wire = await client()
    expect(
      (await wire.request(apiVersions, 3, { clientSoftwareName: 'x', clientSoftwareVersion: '1' })).errorCode,
    ).toBe(0)
    const shaken = await wire.request(saslHandshake, 1, { mechanism: 'PLAIN' })
    expect(shaken).toEqual({ errorCode: 0, mechanisms: ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] })
    const answer = await wire.request(saslAuthenticate, version, { authBytes: plain('alice', 'secret') })
    expect(answer).toMatchObject({ errorCode: 0, errorMessage: null, sessionLifetimeMs: 0 })
    expect((await wire.request(metadata, 9, { topics: [] })).errorCode).toBe(0)
  })

  it.each([
    ['SCRAM-SHA-256', 'sha256', 'alice', 'secret', false],
    ['SCRAM-SHA-512', 'sha512', 'b,o=b', 'pässword', false],
    // librdkafka up to 2.6 repeats its part of the nonce.
    ['SCRAM-SHA-256', 'sha256', 'alice', 'secret', true],
  ] as const)(
    'lets in whoever proves to know it, and proves it back, by %s',
    async (mechanism, hash, user, password, repeatNonce) => {
      const asked: string[] = []
      const find = async (name: string) => {
        asked.push(name)
        return Object.entries(users).find(([known]) => known === name)?.[1]
      }
      const { client } = await open({ sasl: { users: find, mechanisms: [mechanism] } })
      const wire = await client()
      expect((await wire.request(saslHandshake, 1, { mechanism })).mechanisms).toEqual([mechanism])
      const scram = scramClient(hash, user, password, repeatNonce)
      const first = await wire.request(saslAuthenticate, 2, { authBytes: scram.first })
      const last = await wire.request(saslAuthenticate, 2, { authBytes: scram.final(first.authBytes) })
      expect(last.errorCode).toBe(0)
      expect(Buffer.from(last.authBytes).toString()).toBe(scram.serverProof())
      expect((await wire.request(metadata, 9, { topics: [] })).errorCode).toBe(0)
      expect(asked).toEqual([user])
    },
  )

  it('takes tokens without headers after version 0 of the handshake', async () => {
    const { client } = await open({ sasl: { users } })
    const wire = await client()
    await wire.request(saslHandshake, 0, { mechanism: 'PLAIN' })
    const token = plain('alice', 'secret', 'alice')
    const bare = Buffer.alloc(4)
    bare.writeInt32BE(token.length)
    wire.socket.write(Buffer.concat([bare, token]))
    expect((await wire.request(apiVersions, 0, {})).errorCode).toBe(0)
    expect(wire.received[1]).toHaveLength(0)
    expect((await wire.request(metadata, 9, { topics: [] })).errorCode).toBe(0)
  })

  it.each([
    ['a wrong password', plain('alice', 'wrong'), /invalid credentials/],
    ['a user that is not known', plain('mallory', 'secret'), /invalid credentials/],
    ['the name of a property of every object', plain('constructor', 'secret'), /invalid credentials/],
    ['no password', plain('alice', ''), /takes an identity, a user and a password/],
    ['a wish to act as another', plain('alice', 'secret', 'root'), /act as yourself/],
  ])("gives whoever comes with %s Kafka's error, and closes", async (_, authBytes, message) => {
    const { client, lines } = await open({ sasl: { users } })
    const wire = await client()
    await wire.request(saslHandshake, 1, { mechanism: 'PLAIN' })
    const refused = await wire.request(saslAuthenticate, 1, { authBytes })
    expect(refused).toMatchObject({ errorCode: 58, errorMessage: expect.stringMatching(message) })
    await wire.closed
    expect(lines).toEqual([expect.stringMatching(/did not prove who it is/)])
  })

  it.each([
    ['a wrong password', 'wrong', (final: Buffer) => final],
    ['a proof that was cut', 'secret', (final: Buffer) => final.subarray(0, -6)],
    [
      "another exchange's last message",
      'secret',
      (final: Buffer) => Buffer.from(final.toString().replace(/r=[^,]+/, 'r=x')),
    ],
    ['nonsense', 'secret', () => Buffer.from('nonsense')],
  ])('refuses SCRAM with %s', async (_, password, change) => {
    const { client } = await open({ sasl: { users } })
    const wire = await client()
    await wire.request(saslHandshake, 1, { mechanism: 'SCRAM-SHA-256' })
    const scram = scramClient('sha256', 'alice', password)
    const first = await wire.request(saslAuthenticate, 2, { authBytes: scram.first })
    const last = await wire.request(saslAuthenticate, 2, { authBytes: change(scram.final(first.authBytes)) })
    expect(last).toMatchObject({ errorCode: 58, authBytes: { length: 0 } })
    await wire.closed
  })

  it('serves nothing before, and refuses what is out of turn', async () => {
    const { client, lines } = await open({ sasl: { users, mechanisms: ['PLAIN'] } })
    const early = await client()
    early.send(metadata, 9, { topics: null })
    await early.closed
    expect(lines).toEqual([expect.stringMatching(/Metadata was asked before the client proved who it is/)])

    const hasty = await client()
    expect(await hasty.request(saslAuthenticate, 1, { authBytes: plain('alice', 'secret') })).toMatchObject({
      errorCode: 34,
    })
    await hasty.closed

    const other = await client()
    const shaken = await other.request(saslHandshake, 1, { mechanism: 'GSSAPI' })
    expect(shaken).toEqual({ errorCode: 33, mechanisms: ['PLAIN'] })
    await other.closed

    const large = await client()
    large.socket.write(Buffer.from('00100000', 'hex'))
    await large.closed
    expect(lines.at(-1)).toMatch(/A frame of 1048576 bytes is announced where at most 524288 are taken/)
  })

  it('does not say what a user store threw', async () => {
    const broken = () => {
      throw new Error('the database is at 10.0.0.1')
    }
    const { client } = await open({ sasl: { users: broken } })
    const wire = await client()
    await wire.request(saslHandshake, 1, { mechanism: 'PLAIN' })
    const refused = await wire.request(saslAuthenticate, 1, { authBytes: plain('alice', 'secret') })
    expect(refused).toMatchObject({ errorCode: 58, errorMessage: 'Authentication failed' })
  })
})

describe('a listener that asks nobody', () => {
  it('says so to who wants to be asked', async () => {
    const { client } = await open()
    const wire = await client()
    expect(await wire.request(saslHandshake, 1, { mechanism: 'PLAIN' })).toEqual({ errorCode: 34, mechanisms: [] })
    expect(await wire.request(saslAuthenticate, 0, { authBytes: plain('a', 'b') })).toMatchObject({ errorCode: 34 })
    expect((await wire.request(metadata, 9, { topics: [] })).errorCode).toBe(0)
  })
})

describe('a listener that talks TLS', () => {
  // A key that both know needs no certificate.
  const psk = Buffer.alloc(32, 7)
  const ciphers = 'PSK-AES128-GCM-SHA256'
  const tls: TlsOptions = { ciphers, maxVersion: 'TLSv1.2', pskCallback: () => psk }

  it('serves clients that do so too, and closes on the others with one line', async () => {
    const { listener, client, lines } = await open({ tls, sasl: { users } })
    const socket = connectTls({
      port: listener.port,
      host: '127.0.0.1',
      ciphers,
      maxVersion: 'TLSv1.2',
      pskCallback: () => ({ psk, identity: 'x' }),
      checkServerIdentity: () => undefined,
    })
    const wire = await WireClient.over(socket, 'secureConnect')
    await wire.request(saslHandshake, 1, { mechanism: 'PLAIN' })
    const answer = await wire.request(saslAuthenticate, 1, { authBytes: plain('alice', 'secret') })
    expect(answer.errorCode).toBe(0)
    expect((await wire.request(metadata, 9, { topics: [] })).brokers).toMatchObject([{ port: listener.port }])

    const open1 = await client()
    open1.send(apiVersions, 0, {})
    await open1.closed
    expect(lines).toEqual([expect.stringMatching(/^Connection of 127\.0\.0\.1:\d+ closed: /)])
    // One that has not begun to talk does not hold it up.
    const silent = await client()
    await listener.close()
    await Promise.all([wire.closed, silent.closed])
  })
})

it('options that listen does not take are refused, and nothing is opened', async () => {
  for (const options of [
    { port: -1 },
    { host: 1 },
    { sasl: {} },
    { sasl: { users, mechanisms: ['GSSAPI'] } },
    { tls: 1 },
    { prot: 1 },
  ]) {
    expect(await codeOf(() => open(options as never))).toBe('OTTLA_INVALID_ARGUMENT')
  }
})
