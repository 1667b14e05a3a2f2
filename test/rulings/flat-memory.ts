import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { runModule } from './child-process.js'

/**
 * In a process of its own, a producer writes so many bytes to files as fast as it can, to a group whose handler sleeps.
 * Resolves with what was written, and by how much the memory in use rose at most: what stays when garbage is collected.
 */
export async function flatMemory(bytesToWrite: number): Promise<{ wroteBytes: number; most: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'ottla-flat-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const { exitCode, stdout, stderr } = await runModule(
    `
    import { setFlagsFromString } from 'node:v8'
    import { runInNewContext } from 'node:vm'
    import { Broker, bytes, FileStorage, Topic } from 'ottla'
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc')
    const used = () => {
      gc()
      const { heapUsed, arrayBuffers } = process.memoryUsage()
      return heapUsed + arrayBuffers
    }
    const storage = new FileStorage(${JSON.stringify(directory)}, { durability: 'os' })
    const broker = await Broker.open({ storage })
    const topic = await broker.topic(new Topic('blobs', { value: bytes() }))
    const group = broker.consumerGroup('slow', { topics: [topic], closeTimeoutMs: 0 })
    group.closed.catch(() => {})
    let handled = 0
    await group.run(async () => {
      handled++
      await new Promise((resolve) => setTimeout(resolve, 20))
    }, { ordering: 'none', concurrency: 4 })
    const producer = broker.producer({ maxInFlightBytes: 2 ** 20 })
    const value = new Uint8Array(16_384)
    const write = async (wanted) => {
      let written = 0
      while (written < wanted) {
        const sends = Array.from({ length: 64 }, () => producer.send(topic, { value }))
        await Promise.all(sends)
        written += 64 * value.length
      }
      return written
    }
    let wroteBytes = await write(2 ** 22)
    const before = used()
    let most = 0
    while (wroteBytes < ${bytesToWrite}) {
      wroteBytes += await write(2 ** 22)
      most = Math.max(most, used() - before)
    }
    console.log(JSON.stringify({ wroteBytes, most, handled }))
    await broker.close()
    `,
    120_000,
  )
  if (exitCode !== 0) throw new Error(`the process ended with ${exitCode}: ${stderr}`)
  return JSON.parse(stdout)
}
