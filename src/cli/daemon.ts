import { spawn } from 'node:child_process'
import { mkdirSync, openSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DAEMON_VARIABLE, type DaemonReport } from './daemon-report.js'
import { CommandFailure, fileFailure } from './failures.js'
import { printLine } from './output.js'
import type { ServerArguments } from './server-start.js'

const OUTPUT_FILE = 'ottla-server.out'

/**
 * Starts the server as a process of its own, which outlives this one and its terminal, and waits until it listens.
 * Kafka's script puts the output into $LOG_DIR too, but does not wait.
 */
export async function runDaemon({ file, overrides }: ServerArguments): Promise<number> {
  const directory = resolve(process.env.LOG_DIR || 'logs')
  const path = join(directory, OUTPUT_FILE)
  const output = openOutput(directory, path)
  const args = [
    ...(file === undefined ? [] : [file]),
    ...overrides.map(({ key, value }) => `--override=${key}=${value}`),
  ]
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', 'server-start', ...args], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: { ...process.env, [DAEMON_VARIABLE]: '1' },
    windowsHide: true,
  })
  const report = await new Promise<DaemonReport>((settle) => {
    // Only our own server has the other end of the channel.
    child.on('message', (message) => settle(message as DaemonReport))
    child.on('error', ({ message }) => settle({ failure: `The server could not be started: ${message}.` }))
    child.on('exit', (code, signal) => settle({ failure: `The server ended before it listened (${signal ?? code}).` }))
  })
  if ('failure' in report) throw new CommandFailure(`${report.failure}\nThe output is in ${path}`)
  child.unref()
  printLine(`Listening on ${report.listening.join(', ')} as process ${child.pid}: kill ${child.pid} closes it.`)
  printLine(`Its output goes to ${path}`)
  return 0
}

/** Appends, so that the output of a server that ended is still there. */
function openOutput(directory: string, path: string): number {
  try {
    mkdirSync(directory, { recursive: true })
    return openSync(path, 'a')
  } catch (error) {
    throw fileFailure(error, 'write', path)
  }
}
