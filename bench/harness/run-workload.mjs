import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const measureFile = fileURLToPath(new URL('measure.mjs', import.meta.url))

/**
 * Measures a workload in a process of its own. Rejects with what failed there.
 *
 * @param {import('./workload.mjs').Workload} workload
 * @param {{ directory: string, onProgress: (done: number, total: number) => void }} options `directory` is where the
 *   workload's own is made
 * @returns {Promise<import('./results.mjs').Samples>}
 */
export async function runWorkload({ name, nodeOptions = [] }, { directory: parentDirectory, onProgress }) {
  const samples = new Map()
  mkdirSync(parentDirectory, { recursive: true })
  const directory = mkdtempSync(join(parentDirectory, `${name}-`))
  try {
    const child = fork(measureFile, [name, directory], {
      execArgv: ['--expose-gc', ...nodeOptions],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
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
    const [code, signal] = await once(child, 'close')
    if (code !== 0) throw new Error(`The process of ${name} ended with ${signal ?? code}\n${stderr}`)
    if (stderr !== '') process.stderr.write(stderr)
    return Object.fromEntries(samples)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
