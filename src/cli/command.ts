import { parseArgs } from 'node:util'
import { nearestName } from '../engine/nearest-name.js'
import { reasonOf } from '../reason-of.js'
import { CommandFailure } from './failures.js'
import { printError, printLine } from './output.js'
import { runServer, type ServerArguments } from './server-start.js'
import { VERSION } from './version.js'

const HELP = `ottla: Kafka's log, embedded in Node

Usage:
  ottla server-start [-daemon] [FILE] [--override KEY=VALUE]...
      Starts a broker for Kafka clients.
  ottla COMMAND --help
  ottla --version`

const SERVER_START_HELP = `Usage: ottla server-start [-daemon] [FILE] [--override KEY=VALUE]...

Starts a broker that any Kafka client can connect to, and runs until it gets SIGTERM or SIGINT (Ctrl-C).
No format step and no ZooKeeper is needed: directories that are not there are made.

  FILE                   Kafka's server.properties. Default: config/server.properties if there is one,
                         else Kafka's defaults, port 9092 on all interfaces, and logs in ./ottla-logs.
  --override KEY=VALUE   Sets a key over the file. May be given several times.
  -daemon                Goes on in the background, with its output in $LOG_DIR/ottla-server.out
                         (logs/ottla-server.out where LOG_DIR is not set).
  --help                 Prints this.

Each key that is set is listed with what became of it: used, or without effect and why.`

const COMMANDS: readonly string[] = ['server-start']

/** Runs what the arguments say and resolves to the exit code. Never rejects. */
export async function runCommand(args: readonly string[]): Promise<number> {
  try {
    return await run(args)
  } catch (error) {
    // Anything else is a mistake of ours, and its stack says where.
    printError(error instanceof CommandFailure ? error.message : error instanceof Error ? error.stack : reasonOf(error))
    return 1
  }
}

async function run([command, ...rest]: readonly string[]): Promise<number> {
  switch (command) {
    case 'server-start':
      return startServer(rest)
    case '--version':
    case '-v':
      printLine(VERSION)
      return 0
    case '--help':
    case '-h':
    case 'help':
      printLine(HELP)
      return 0
    case undefined:
      printError(HELP)
      return 1
    default:
      throw new CommandFailure(`There is no command ${command}.${hintFor(command)} See: ottla --help`)
  }
}

function hintFor(command: string): string {
  const known = nearestName(
    command,
    COMMANDS,
    COMMANDS.map((name) => [name]),
  )
  return known === undefined ? '' : ` Did you mean ${known}?`
}

async function startServer(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseServerStart(args)
  if (values.help === true) {
    printLine(SERVER_START_HELP)
    return 0
  }
  const [file, another] = positionals
  if (another !== undefined) throw usage(`One FILE is taken, not both ${file} and ${another}`)
  const server: ServerArguments = { file, overrides: (values.override ?? []).map(parseOverride) }
  if (values.daemon !== true) return runServer(server)
  // A server in the foreground starts no process, and sooner without what could.
  const { runDaemon } = await import('./daemon.js')
  return runDaemon(server)
}

function parseServerStart(args: readonly string[]) {
  try {
    return parseArgs({
      // Kafka's script spells it with one dash, which would be read as six options.
      args: args.map((arg) => (arg === '-daemon' ? '--daemon' : arg)),
      options: {
        daemon: { type: 'boolean' },
        override: { type: 'string', multiple: true },
        help: { type: 'boolean', short: 'h' },
      },
      allowPositionals: true,
    })
  } catch (error) {
    // Node's first sentence says what is wrong; what follows speaks of positional arguments.
    if (isParseError(error)) throw usage(error.message.split('. ')[0] ?? error.message)
    throw error
  }
}

function isParseError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
}

function parseOverride(text: string): { key: string; value: string } {
  const [, key, value] = /^\s*([^=]+?)\s*=(.*)$/s.exec(text) ?? []
  if (key === undefined || value === undefined) throw usage(`--override takes KEY=VALUE, not '${text}'`)
  return { key, value }
}

function usage(problem: string): CommandFailure {
  return new CommandFailure(`${problem}. See: ottla server-start --help`)
}
