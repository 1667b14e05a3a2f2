import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { Broker, FileStorage } from 'ottla'
import { Random } from '../../src/testing/random.js'
import { type Said, TOPICS } from './said.js'

export interface TortureOptions {
  readonly rounds: number
  readonly seed: number
  /** Kept from round to round, and never wiped. */
  readonly directory: string
  /** The bundle of child.ts. */
  readonly child: string
  readonly onRound?: (round: number, findings: TortureFindings) => void
}

export interface TortureFindings {
  rounds: number
  /** Messages that were acknowledged, in all rounds. */
  acknowledged: number
  /** Messages that were looked at. */
  checked: number
  tornTails: number
}

/**
 * Kills a process that sends, commits, rolls and drops, again and again over the same directory, and compares what is
 * there with what it said was done. Throws where something is missing, twice there, or other than it was.
 */
export async function torture(options: TortureOptions): Promise<TortureFindings> {
  const { rounds, seed, directory } = options
  const random = new Random(seed)
  const findings: TortureFindings = { rounds: 0, acknowledged: 0, checked: 0, tornTails: 0 }
  const acknowledged = new Map<string, string>()
  let committed = 0
  mkdirSync(directory, { recursive: true })
  for (let round = 1; round <= rounds; round++) {
    for (const said of await killed(options.child, directory, seed * 100_000 + round, 1 + random.below(300))) {
      if (said[0] === 'sent') acknowledged.set(`${said[1]}-${said[2]} ${said[3]}`, said[4])
      else if (said[0] === 'committed') committed = said[1]
    }
    findings.rounds = round
    findings.acknowledged = acknowledged.size
    // Most often it is only looked at, so that the next process finds what the crash left.
    const isLook = random.below(4) > 0
    const broker = await Broker.open({ storage: new FileStorage(directory, isLook ? { readOnly: true } : {}) })
    findings.tornTails += broker.recovery.filter(({ kind }) => kind === 'torn-tail').length
    if (broker.recovery.some(({ kind }) => kind === 'moved-offset')) throw new Error('a committed offset was ahead')
    findings.checked += await check(broker, acknowledged, committed, `seed ${seed}, round ${round}`)
    await broker.close()
    options.onRound?.(round, findings)
  }
  const damaged = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.corrupt'),
  )
  if (damaged.length > 0) throw new Error(`whole batches were cut: ${damaged.join(', ')}`)
  return findings
}

/** What a process said before it was killed, `afterMs` after it was ready. */
async function killed(child: string, directory: string, seed: number, afterMs: number): Promise<Said[]> {
  const started = spawn(process.execPath, [child, directory, String(seed)], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let complaints = ''
  let isDoomed = false
  started.stderr.on('data', (chunk) => {
    complaints += String(chunk)
  })
  started.stdout.on('data', (chunk) => {
    output += String(chunk)
    if (isDoomed || !output.includes('\n')) return
    isDoomed = true
    setTimeout(() => started.kill('SIGKILL'), afterMs)
  })
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    started.once('close', (exitCode, exitSignal) => resolve([exitCode, exitSignal]))
  })
  if (signal !== 'SIGKILL') throw new Error(`the process ended by itself (${code}): ${complaints}`)
  // A line that was cut short may be true, and says nothing.
  const lines = output.split('\n').slice(0, -1)
  return lines.map((line): Said => JSON.parse(line))
}

async function check(
  broker: Broker,
  acknowledged: ReadonlyMap<string, string>,
  committed: number,
  when: string,
): Promise<number> {
  const ids = new Set<string>()
  const found = new Map<string, string>()
  const starts = new Map<string, number>()
  let ordersEnd = 0
  for (const topic of TOPICS) {
    if (!(await broker.topics()).includes(topic.name)) continue
    const next = new Map<number, number>()
    for await (const message of broker.reader(topic, { until: 'end' })) {
      const { partition, offset, value } = message
      const at = `${topic.name}-${partition}`
      const expected = next.get(partition) ?? offset
      if (!starts.has(at)) starts.set(at, offset)
      if (offset !== expected) throw new Error(`${when}: ${at} goes from ${expected - 1} to ${offset}`)
      next.set(partition, offset + 1)
      if (ids.has(value.id)) throw new Error(`${when}: ${value.id} is there twice`)
      if (!/^x*$/.test(value.padding)) throw new Error(`${when}: ${at} ${offset} holds something else`)
      ids.add(value.id)
      found.set(`${at} ${offset}`, value.id)
      if (topic.name === 'orders') ordersEnd = offset + 1
    }
  }
  for (const [place, id] of acknowledged) {
    const [at = '', offset] = place.split(' ')
    const start = starts.get(at)
    // Retention may have taken it.
    if (at.startsWith('short') && (start === undefined || Number(offset) < start)) continue
    if (found.get(place) !== id)
      throw new Error(`${when}: ${place} was acknowledged as ${id} and is ${found.get(place)}`)
  }
  if (committed > 0) {
    const { lag } = await broker.describeGroup('billing')
    const offset = lag.find(({ topic }) => topic === 'orders')?.committedOffset ?? -1
    if (offset < committed || offset > ordersEnd) {
      throw new Error(`${when}: ${offset} is committed, ${committed} was last said, and the log ends at ${ordersEnd}`)
    }
  }
  return found.size
}
