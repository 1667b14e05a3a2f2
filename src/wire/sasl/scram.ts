import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import {
  type PasswordOf,
  type SaslAnswer,
  type SaslExchange,
  SaslFailure,
  WRONG_CREDENTIALS,
} from './sasl-mechanism.js'

/*
 * SCRAM (RFC 5802), the server's side, without channel binding:
 *
 *   client   n,[a=IDENTITY],n=USER,r=NONCE          server   r=NONCE MORE,s=SALT,i=ITERATIONS
 *   client   c=HEADER,r=NONCE MORE,p=PROOF          server   v=SIGNATURE
 *
 * The password never travels, and the server proves that it knows it too. Salt and iterations are made for each
 * exchange, since the store holds passwords.
 */

/** Java refuses fewer. */
const ITERATIONS = 4096
const CLIENT_FIRST = /^([ny],(?:a=[^,]*)?,)(n=([^,]+),r=([^,]+)(?:,.*)?)$/s
const CLIENT_FINAL = /^(c=([^,]+),r=([^,]+)(?:,.*)?),p=([^,]+)$/s

const derive = promisify(pbkdf2)

export function scram(hash: 'sha256' | 'sha512', passwordOf: PasswordOf): SaslExchange {
  return new ScramExchange(hash, passwordOf)
}

class ScramExchange implements SaslExchange {
  readonly #hash: 'sha256' | 'sha512'
  readonly #passwordOf: PasswordOf
  #begun: Begun | undefined

  constructor(hash: 'sha256' | 'sha512', passwordOf: PasswordOf) {
    this.#hash = hash
    this.#passwordOf = passwordOf
  }

  async answer(token: Uint8Array): Promise<SaslAnswer> {
    const message = Buffer.from(token).toString('utf8')
    return this.#begun === undefined ? this.#begin(message) : this.#finish(message, this.#begun)
  }

  async #begin(message: string): Promise<SaslAnswer> {
    const [, header = '', bare = '', user = '', clientNonce = ''] = CLIENT_FIRST.exec(message) ?? []
    if (bare === '') throw new SaslFailure('Authentication failed: the first message is not that of SCRAM')
    const password = await this.#passwordOf(user.replaceAll('=2C', ',').replaceAll('=3D', '='))
    if (password === undefined) throw new SaslFailure(WRONG_CREDENTIALS)
    const salt = randomBytes(24)
    const nonce = clientNonce + randomBytes(24).toString('base64url')
    const first = `r=${nonce},s=${salt.toString('base64')},i=${ITERATIONS}`
    const size = this.#hash === 'sha256' ? 32 : 64
    const salted = await derive(password.normalize('NFKC'), salt, ITERATIONS, size, this.#hash)
    this.#begun = { header, nonce, salted, exchanged: `${bare},${first}` }
    return { token: Buffer.from(first), isDone: false }
  }

  async #finish(message: string, { header, nonce, salted, exchanged }: Begun): Promise<SaslAnswer> {
    const [, unproved = '', binding = '', theirNonce = '', proof = ''] = CLIENT_FINAL.exec(message) ?? []
    // librdkafka up to 2.6 sends its own part of the nonce twice, and Kafka too looks only at the end.
    if (!theirNonce.endsWith(nonce) || Buffer.from(binding, 'base64').toString() !== header) {
      throw new SaslFailure('Authentication failed: the last message does not belong to the first')
    }
    const signed = `${exchanged},${unproved}`
    const clientKey = this.#hmac(salted, 'Client Key')
    const storedKey = createHash(this.#hash).update(clientKey).digest()
    const signature = this.#hmac(storedKey, signed)
    const expected = signature.map((byte, index) => byte ^ (clientKey[index] ?? 0))
    const given = Buffer.from(proof, 'base64')
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new SaslFailure(WRONG_CREDENTIALS)
    const serverSignature = this.#hmac(this.#hmac(salted, 'Server Key'), signed)
    return { token: Buffer.from(`v=${serverSignature.toString('base64')}`), isDone: true }
  }

  #hmac(key: Uint8Array, text: string): Buffer {
    return createHmac(this.#hash, key).update(text).digest()
  }
}

interface Begun {
  readonly header: string
  readonly nonce: string
  readonly salted: Uint8Array
  /** What both have said, for their signatures. */
  readonly exchanged: string
}
