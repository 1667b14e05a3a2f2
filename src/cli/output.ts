import { systemClock } from '../time/clock.js'

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`)
}

export function printError(line: string | undefined): void {
  process.stderr.write(`${line}\n`)
}

/** What happens while the server runs, with the time. */
export function logLine(line: string): void {
  printLine(`[${new Date(systemClock.now()).toISOString()}] ${line}`)
}
