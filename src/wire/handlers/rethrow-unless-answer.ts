import { OttlaError } from '../../errors.js'

/**
 * Lets an error that a client can be told pass, to be put in a response. A broker that is closed, a wait that ended with
 * its connection, and what no engine should throw have nobody to tell, and end the connection.
 */
export function rethrowUnlessAnswer(error: unknown): asserts error is OttlaError {
  if (!OttlaError.is(error) || error.code === 'OTTLA_CLOSED') throw error
}
