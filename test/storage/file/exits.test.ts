import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Broker, FileStorage, string, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { parsePage } from '../../docs/markdown.js'
import { buildModule } from '../../rulings/child-process.js'
import { temporaryDirectories } from './file-rig.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const directory = temporaryDirectories()
const orders = new Topic('orders', { value: string() })

/** What the page says to do about SIGTERM: its one block that has the word. */
function recipe(): string {
  const { blocks } = parsePage('shutdown.md', readFileSync(join(root, 'docs/shutdown.md'), 'utf8'))
  const [block, ...others] = blocks.filter(({ text }) => text.includes('SIGTERM'))
  expect(others).toEqual([])
  return block?.text ?? ''
}

const UNDER_WAY = 50

/**
 * A module that always has 50 sends under way, some of which are written by a thread of the pool, says what it sends and
 * what is acknowledged, and at the 60th acknowledgement comes to an end: `end` is its code for that.
 */
function sendingModule(place: string, end: string, beforehand = ''): string {
  return buildModule(
    `import { writeSync } from 'node:fs'
    import { parentPort } from 'node:worker_threads'
    import { Broker, FileStorage, string, Topic } from 'ottla'
    const say = (line) => parentPort === null ? writeSync(1, line + '\\n') : parentPort.postMessage(line)
    const broker = await Broker.open({ storage: new FileStorage(${JSON.stringify(place)}) })
    ${beforehand}
    const orders = await broker.topic(new Topic('orders', { value: string() }))
    const producer = broker.producer({ batchBytes: 4096 })
    let acknowledged = 0
    process.on('exit', () => say('exit'))
    let count = 0
    const send = () => {
      const n = count++
      say('sent ' + n)
      const value = n + ' ' + 'x'.repeat(n % 5 === 0 ? 70_000 : 500)
      producer.send(orders, { value }).then(({ offset }) => {
        say('acknowledged ' + offset + ' ' + n)
        if (++acknowledged === 60) { ${end} }
        send()
      }, (error) => say('rejected ' + error.code))
    }
    for (let n = 0; n < ${UNDER_WAY}; n++) send()`,
  )
}

interface Ended {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly lines: readonly string[]
}

function run(module: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [module], { timeout: 15_000 }, (_, stdout) => {
      resolve({ exitCode: child.exitCode, signal: child.signalCode, lines: stdout.trim().split('\n') })
    })
  })
}

/** Opens what a process left: all that it said was acknowledged must be there, and nothing that is not whole. */
async function checkLeft(place: string, lines: readonly string[]): Promise<{ kept: number; mended: string[] }> {
  const broker = await Broker.open({ storage: new FileStorage(place) })
  const numbers: string[] = []
  for await (const { offset, value } of broker.reader(orders, { until: 'end' })) {
    expect(offset).toBe(numbers.length)
    const [number = '', padding = ''] = value.split(' ')
    expect(padding).toBe('x'.repeat(Number(number) % 5 === 0 ? 70_000 : 500))
    numbers.push(number)
  }
  for (const line of lines) {
    const [word, offset, number] = line.split(' ')
    if (word === 'acknowledged') expect(numbers[Number(offset)]).toBe(number)
  }
  const mended = broker.recovery.map(({ kind }) => kind)
  await broker.close()
  const again = await Broker.open({ storage: new FileStorage(place) })
  expect(again.recovery).toEqual([])
  await again.close()
  return { kept: numbers.length, mended }
}

function linesOf(lines: readonly string[], word: string): string[] {
  return lines.filter((line) => line.startsWith(word))
}

describe('a process that ends while sends are under way', () => {
  it.each([
    ['by process.exit', 'process.exit(3)', [3, null]],
    ['by an error that nobody catches', "setImmediate(() => { throw new Error('broken') })", [1, null]],
    ['by a rejection that nobody handles', "Promise.reject(new Error('broken'))", [1, null]],
    ['by SIGTERM', "process.kill(process.pid, 'SIGTERM')", [null, 'SIGTERM']],
  ])('%s acknowledges nothing that is not there, and leaves a log that opens', async (_, end, expected) => {
    const place = directory()
    const { exitCode, signal, lines } = await run(sendingModule(place, end))
    expect([exitCode, signal]).toEqual(expected)
    const acknowledged = linesOf(lines, 'acknowledged').length
    expect(acknowledged).toBeGreaterThanOrEqual(60)
    expect(linesOf(lines, 'sent').length).toBeGreaterThan(acknowledged)
    if (signal === null) expect(lines.at(-1)).toBe('exit')
    expect(linesOf(lines, 'rejected')).toEqual([])
    const { kept, mended } = await checkLeft(place, lines)
    expect(kept).toBeGreaterThanOrEqual(acknowledged)
    expect(['torn-tail', 'rewritten-tail']).toEqual(expect.arrayContaining(mended))
  })

  it('by SIGTERM with the recipe of the documentation acknowledges what was sent, and closes in order', async () => {
    const place = directory()
    const module = sendingModule(place, "process.kill(process.pid, 'SIGTERM')", recipe())
    const { exitCode, lines } = await run(module)
    expect(exitCode).toBe(0)
    expect(lines.at(-1)).toBe('exit')
    // Each of those that go on sending ends with one that comes too late.
    expect(linesOf(lines, 'rejected')).toEqual(new Array(UNDER_WAY).fill('rejected OTTLA_CLOSED'))
    const acknowledged = linesOf(lines, 'acknowledged').length
    expect(linesOf(lines, 'sent')).toHaveLength(acknowledged + UNDER_WAY)
    expect(await checkLeft(place, lines)).toEqual({ kept: acknowledged, mended: [] })
  })
})

describe('a worker thread that is terminated while sends are under way', () => {
  it('acknowledges nothing that is not there, and lets its process open the log', async () => {
    const place = directory()
    const worker = new Worker(sendingModule(place, "say('enough')"))
    const lines: string[] = []
    worker.on('message', (line: string) => lines.push(line))
    while (!lines.includes('enough')) await once(worker, 'message')
    await worker.terminate()
    const acknowledged = linesOf(lines, 'acknowledged').length
    const { kept, mended } = await checkLeft(place, lines)
    expect(kept).toBeGreaterThanOrEqual(acknowledged)
    expect(['torn-tail', 'rewritten-tail']).toEqual(expect.arrayContaining(mended))
  })
})
