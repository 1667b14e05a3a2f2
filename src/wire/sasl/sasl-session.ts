import { KafkaError } from '../../protocol/kafka-errors.js'
import { reasonOf } from '../../reason-of.js'
import { plain } from './plain.js'
import { type PasswordOf, type SaslExchange, SaslFailure } from './sasl-mechanism.js'
import { scram } from './scram.js'

export type SaslMechanism = 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'

export interface SaslSettings {
  readonly mechanisms: readonly SaslMechanism[]
  readonly passwordOf: PasswordOf
}

/** How a connection stands: it names a mechanism, sends tokens, and is let in or not. */
export class SaslSession {
  readonly #settings: SaslSettings
  #exchange: SaslExchange | undefined
  #state: 'new' | 'tokens' | 'bareTokens' | 'authenticated' | 'failed' = 'new'

  constructor(settings: SaslSettings) {
    this.#settings = settings
  }

  get mechanisms(): readonly SaslMechanism[] {
    return this.#settings.mechanisms
  }

  get isAuthenticated(): boolean {
    return this.#state === 'authenticated'
  }

  /** The connection ends once it has been told so. */
  get isFailed(): boolean {
    return this.#state === 'failed'
  }

  /** After version 0 of the handshake tokens have a length before them and nothing else (kafka-python). */
  get expectsBareToken(): boolean {
    return this.#state === 'bareTokens'
  }

  /** Returns Kafka's error, 0 where tokens may follow. */
  handshake(mechanism: string, version: number): number {
    if (this.#state !== 'new') return this.#fail(KafkaError.illegalSaslState)
    const known = this.#settings.mechanisms.find((each) => each === mechanism)
    if (known === undefined) return this.#fail(KafkaError.unsupportedSaslMechanism)
    this.#exchange = exchangeOf(known, this.#settings.passwordOf)
    this.#state = version === 0 ? 'bareTokens' : 'tokens'
    return KafkaError.none
  }

  /** Answers a token, or says why the client is not let in. */
  async authenticate(
    token: Uint8Array,
  ): Promise<Uint8Array | { readonly errorCode: number; readonly errorMessage: string }> {
    if (this.#exchange === undefined || (this.#state !== 'tokens' && this.#state !== 'bareTokens')) {
      const errorMessage = 'SaslAuthenticate follows SaslHandshake'
      return { errorCode: this.#fail(KafkaError.illegalSaslState), errorMessage }
    }
    try {
      const answer = await this.#exchange.answer(token)
      if (answer.isDone) this.#state = 'authenticated'
      return answer.token
    } catch (error) {
      // What a user store throws is nobody's business but its owner's.
      const errorMessage = error instanceof SaslFailure ? reasonOf(error) : 'Authentication failed'
      return { errorCode: this.#fail(KafkaError.saslAuthenticationFailed), errorMessage }
    }
  }

  #fail(errorCode: number): number {
    this.#state = 'failed'
    return errorCode
  }
}

function exchangeOf(mechanism: SaslMechanism, passwordOf: PasswordOf): SaslExchange {
  switch (mechanism) {
    case 'PLAIN':
      return plain(passwordOf)
    case 'SCRAM-SHA-256':
      return scram('sha256', passwordOf)
    case 'SCRAM-SHA-512':
      return scram('sha512', passwordOf)
  }
}
