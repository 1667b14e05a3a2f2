import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { contenderNames } from './workload.mjs'

const measureFile = fileURLToPath(new URL('measure.mjs', import.meta.url))

/**
 * Measures a workload in processes of its own. Rejects with what failed there.
 *
 * @param {import('./workload.mjs').Workload} workload
 * @param {{ directory: string, onProgress: (done: number, total: number) => void }} options `directory` is where the
 *   workload's own is made
 * @returns {Promise<import('./results.mjs').Samples>}
 */
export async function runWorkload(workload, { directory, onProgress }) {
  const samples = Object.fromEntries(contenderNames(workload).map((name) => [name, []]))
  if (workload.isolated !== true) {
    await runChild(workload, directory, [], samples, onProgress)
    return samples
  }
  const { warmups, repetitions } = workload
  for (let repetition = -warmups; repetition < repetitions; repetition++) {
    const names = Object.keys(samples).sort(() => Math.random() - 0.5)
    for (const name of names) await runChild(workload, directory, [name], repetition < 0 ? { [name]: [] } : samples)
    onProgress(repetition + warmups + 1, warmups + repetitions)
  }
  return samples
}

async function runChild(workload, parentDirectory, contender, samples, onProgress = () => {}) {
  mkdirSync(parentDirectory, { recursive: true })
  const directory = mkdtempSync(join(parentDirectory, `${workload.name}-`))
  try {
    const child = fork(measureFile, [workload.name, directory, ...contender], {
      execArgv: ['--expose-gc', ...(workload.nodeOptions ?? [])],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr = (stderr + text).slice(-8192)
    })
    child.on('message', (message) => {
      if (message.type === 'sample') samples[message.contender]?.push(message.value)
      else onProgress(message.done, message.total)
    })
    const [code, signal] = await once(child, 'close')
    if (code !== 0) throw new Error(`${workload.name} ended with ${signal ?? code}\n${stderr}`)
    if (stderr !== '') process.stderr.write(stderr)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
