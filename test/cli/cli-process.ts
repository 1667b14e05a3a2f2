import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { afterAll, onTestFinished } from 'vitest'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/** A process of the command, and what it has printed so far. */
export class CliProcess {
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''
  #watchers: (() => void)[] = []
  /** Resolves with its exit code, or with the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>

  constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.on('data', (chunk) => {
      this.#stdout += chunk
      this.#wake()
    })
    child.stderr?.on('data', (chunk) => {
      this.#stderr += chunk
    })
    this.ended = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        resolve(code ?? signal)
        this.#wake()
      })
    })
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** What `pattern` captures, as soon as it is printed. */
  async printed(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#stdout)
      if (match !== null) return match[1] ?? match[0]
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`ended without printing ${pattern}: ${this.#stdout}${this.#stderr}`)
      }
      await new Promise<void>((resolve) => this.#watchers.push(resolve))
    }
  }

  /** Where clients connect to, once they can. */
  bootstrapServers(): Promise<string> {
    return this.printed(/^Listening on (\S+:\d+)/m)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Ends it in order. Resolves to its exit code. */
  stop(): Promise<number | NodeJS.Signals | null> {
    this.kill('SIGTERM')
    return this.ended
  }

  #wake(): void {
    for (const wake of this.#watchers.splice(0)) wake()
  }
}

/**
 * The command, built as a user gets it. What it returns starts it in a folder; a process that still runs when the test
 * is over is killed.
 */
export function commandLine(): (cwd: string, args: readonly string[], env?: NodeJS.ProcessEnv) => CliProcess {
  const place = mkdtempSync(join(tmpdir(), 'ottla-cli-'))
  afterAll(() => rmSync(place, { recursive: true, force: true }))
  // What ottla depends on is found where the project has it.
  symlinkSync(join(root, 'node_modules'), join(place, 'node_modules'))
  const main = join(place, 'main.mjs')
  buildSync({
    entryPoints: [join(root, 'src/cli/main.ts')],
    outfile: main,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
  })
  return (cwd, args, env = {}) => {
    const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...process.env, ...env } })
    onTestFinished(() => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    })
    return new CliProcess(child)
  }
}

/** A folder for a test file, with a new one below it for each call. */
export function folders(): () => string {
  const parent = mkdtempSync(join(tmpdir(), 'ottla-folders-'))
  afterAll(() => rmSync(parent, { recursive: true, force: true }))
  return () => mkdtempSync(join(parent, 'f'))
}
