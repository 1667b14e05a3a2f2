import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const measureFile = fileURLToPath(new URL('measure.mjs', import.meta.url))

/**
 * Measures a workload in a process of its own. Rejects with what failed there, or where the signal aborts.
 *
 * @param {import('./workload.mjs').Workload} workload
 * @param {{ directory: string, signal: AbortSignal, onProgress: (done: number, total: number) => void }} options
 *   `directory` is where the workload's own is made
 * @returns {Promise<import('./results.mjs').Samples>}
 */
export async function runWorkload({ name, nodeOptions = [] }, { directory: parentDirectory, signal, onProgress }) {
  const samples = new Map()
  mkdirSync(parentDirectory, { recursive: true })
  const directory = mkdtempSync(join(parentDirectory, `${name}-`))
  try {
    const child = fork(measureFile, [name, directory], {
      execArgv: ['--expose-gc', ...nodeOptions],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      signal,
      killSignal: 'SIGKILL',
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr = (stderr + text).slice(-8192)
    })
    child.on('message', (message) => {
      if (message.type === 'progress') onProgress(message.done, message.total)
      else
        for (const [of, value] of Object.entries(message.values)) samples.set(of, [...(samples.get(of) ?? []), value])
    })
    const [code, endedBy] = await once(child, 'close')
    if (code !== 0) throw new Error(`The process of ${name} ended with ${endedBy ?? code}\n${stderr}`)
    if (stderr !== '') process.stderr.write(stderr)
    return Object.fromEntries(samples)
  } finally {
    // A process that was just killed may still hold on to a file.
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
  }
}
