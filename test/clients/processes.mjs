// Child processes: run to the end, or kept with their lines. All that still run are ended when this process ends.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))

function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
  running.add(child)
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: -1, error }))
    child.once('close', (code, signal) => resolve({ code: code ?? -1, signal }))
  })
  void ended.then(() => running.delete(child))
  // A reader that ended before it read all closes the pipe: its exit code tells.
  child.stdin?.on('error', () => undefined)
  return { child, ended }
}

/**
 * Runs a command to its end. Resolves to what it wrote; rejects unless it exits with 0, or with `exitCode: 'any'`
 * resolves all the same.
 */
export async function run(command, args, { input, limitMs = 120_000, exitCode = 0, ...options } = {}) {
  const { child, ended } = start(command, args, options)
  const stdout = []
  const stderr = []
  child.stdout.on('data', (chunk) => stdout.push(chunk))
  child.stderr.on('data', (chunk) => stderr.push(chunk))
  child.stdin.end(input)
  let isLate = false
  const limit = setTimeout(() => {
    isLate = true
    child.kill('SIGKILL')
  }, limitMs)
  const { code, error } = await ended
  clearTimeout(limit)
  const output = Buffer.concat(stdout).toString('utf8')
  const errors = Buffer.concat(stderr).toString('utf8')
  const shown = `${command.split('/').at(-1)} ${args.join(' ').slice(0, 300)}`
  if (error !== undefined) throw error
  if (isLate) throw new Error(`${shown}: not done after ${limitMs} ms\n${tail(output)}\n${tail(errors)}`)
  if (exitCode !== 'any' && code !== exitCode) {
    throw new Error(`${shown}: exit code ${code}\n${tail(output)}\n${tail(errors)}`)
  }
  return { code, stdout: output, stderr: errors, all: output + errors }
}

/** Starts a command that goes on. Its lines are in `lines`, and given to `onLine` as they come. */
export function follow(command, args, { onLine, ...options } = {}) {
  const { child, ended } = start(command, args, options)
  const lines = []
  const errors = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    onLine?.(line)
  })
  createInterface({ input: child.stderr }).on('line', (line) => {
    errors.push(line)
    if (errors.length > 200) errors.shift()
  })
  return {
    child,
    ended,
    lines,
    errors,
    isRunning: () => running.has(child),
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
    /** Asks it to end, as Ctrl+C does, and waits until it has. */
    stop: async (signal = 'SIGINT') => {
      child.kill(signal)
      const limit = setTimeout(() => child.kill('SIGKILL'), 60_000)
      await ended
      clearTimeout(limit)
    },
  }
}

/** Asks until the answer is neither false nor undefined. */
export async function until(what, ask, limitMs = 90_000) {
  const deadline = performance.now() + limitMs
  let lastError
  for (;;) {
    try {
      const answer = await ask()
      if (answer !== false && answer !== undefined) return answer
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    if (performance.now() > deadline) {
      throw new Error(`not so within ${limitMs} ms: ${typeof what === 'function' ? what() : what}`, {
        cause: lastError,
      })
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function tail(text) {
  return text.split('\n').slice(-15).join('\n').slice(-3000)
}
