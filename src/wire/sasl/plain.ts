import { createHash, timingSafeEqual } from 'node:crypto'
import { type PasswordOf, type SaslExchange, SaslFailure, WRONG_CREDENTIALS } from './sasl-mechanism.js'

/*
 * PLAIN (RFC 4616), one token: authorization identity, 0, user, 0, password, all in UTF-8. Who asks to act as another
 * than the user is refused, as Kafka does.
 */
export function plain(passwordOf: PasswordOf): SaslExchange {
  return {
    async answer(token) {
      const parts = Buffer.from(token).toString('utf8').split('\0')
      const [actAs = '', username = '', password = ''] = parts
      if (parts.length !== 3 || username === '' || password === '') {
        throw new SaslFailure('Authentication failed: PLAIN takes an identity, a user and a password')
      }
      if (actAs !== '' && actAs !== username) throw new SaslFailure('Authentication failed: act as yourself')
      const expected = await passwordOf(username)
      // Hashes are of one length, and the comparison takes as long whatever is in them.
      const isRight = timingSafeEqual(hashOf(password), hashOf(expected ?? ''))
      if (expected === undefined || !isRight) throw new SaslFailure(WRONG_CREDENTIALS)
      return { token: new Uint8Array(0), isDone: true }
    },
  }
}

function hashOf(password: string): Buffer {
  return createHash('sha256').update(password).digest()
}
