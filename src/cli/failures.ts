import { OttlaError } from '../errors.js'
import { reasonOf } from '../reason-of.js'

/** What a user can put right: printed without a stack. */
export class CommandFailure extends Error {}

/** A broker that could not be opened or closed. What is no error of ottla's stays what it is. */
export function brokerFailure(error: unknown): unknown {
  return OttlaError.is(error) ? new CommandFailure(sentence(error.message)) : error
}

/** A port that could not be opened. */
export function listenFailure(error: unknown, host: string, port: number): unknown {
  const place = `${host === '' ? 'all interfaces' : host}, port ${port}`
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new CommandFailure(
        `The port is in use (${place}): stop the program that has it, or choose another port in listeners.`,
      )
    case 'EACCES':
      return new CommandFailure(`This user may not listen there (${place}): choose a port from 1024 on in listeners.`)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CommandFailure(`This machine has no such address (${place}): name another host in listeners, or none.`)
    default:
      return OttlaError.is(error) || codeOf(error) !== undefined
        ? new CommandFailure(sentence(`Listening failed (${place}): ${reasonOf(error)}`))
        : error
  }
}

/** A file that could not be read or written. */
export function fileFailure(error: unknown, act: string, path: string): unknown {
  switch (codeOf(error)) {
    case undefined:
      return error
    case 'ENOENT':
      return new CommandFailure(`There is no file ${path}.`)
    case 'EISDIR':
      return new CommandFailure(`${path} is a directory: name a file.`)
    case 'EACCES':
    case 'EPERM':
      return new CommandFailure(`This user may not ${act} ${path}.`)
    default:
      return new CommandFailure(sentence(`Could not ${act} ${path}: ${reasonOf(error)}`))
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}
