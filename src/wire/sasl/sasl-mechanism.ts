/** What a user store answers: the password of a user, or undefined where there is no such user. */
export type PasswordOf = (username: string) => Promise<string | undefined>

/** One authentication, in which client and server send each other tokens in turn. */
export interface SaslExchange {
  /** The answer to a token of the client's. Rejects where the client did not prove who it is. */
  answer(token: Uint8Array): Promise<SaslAnswer>
}

export interface SaslAnswer {
  readonly token: Uint8Array
  /** True where the client has proved who it is, and nothing more is to be said. */
  readonly isDone: boolean
}

/** Why a client is not let in. The client is told no more than that, whether user or password is wrong. */
export class SaslFailure extends Error {}

export const WRONG_CREDENTIALS = 'Authentication failed: invalid credentials'
