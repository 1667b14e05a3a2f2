import { type DiskCall, type DiskFault, SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { CrashWorkload, checkCrash, type Step } from './crash-workload.js'
import { contentOf } from './file-rig.js'

export interface CrashSearch {
  readonly seed: number
  /** Random crash states at each call. */
  readonly random: number
  /** How many logs there are. Default: 2. */
  readonly logs?: number
  /** Crash states at each call, at most; by default all. */
  readonly limit?: number
  readonly durability?: 'fsync' | 'interval' | 'os'
  /** What the disk does wrong all the time. */
  readonly mutation?: (call: DiskCall) => DiskFault
  /** Ends at the first failure. */
  readonly untilFailure?: boolean
  readonly recordsCallers?: boolean
}

export interface CrashFindings {
  readonly failures: string[]
  /** Crash states that were opened. */
  checked: number
  readonly calls: DiskCall[]
}

interface Moment {
  readonly disk: SimulatedFileSystem
  readonly expectation: CrashWorkload['expectation']
  readonly when: string
}

/** Runs steps, and opens what a crash after each call of the disk may leave. */
export async function crashesOf(steps: readonly Step[], search: CrashSearch): Promise<CrashFindings> {
  const {
    seed,
    random,
    limit = Number.POSITIVE_INFINITY,
    durability = 'fsync',
    mutation,
    untilFailure,
    logs = 2,
  } = search
  const findings: CrashFindings = { failures: [], checked: 0, calls: [] }
  const disk = new SimulatedFileSystem()
  disk.recordsCallers = search.recordsCallers === true
  const moments: Moment[] = []
  const seen = new Set<string>()
  const onMoment = (workload: CrashWorkload): void => {
    const { expectation } = workload
    const key = JSON.stringify([
      Array.from(expectation.logs, ([name, { views, durableEnd, start }]) => [
        name,
        views.map((v) => v.length),
        durableEnd,
        start,
      ]),
      [...expectation.gone],
      expectation.isClean,
    ])
    const call = workload.disk.calls.at(-1)
    const when = `call ${call?.number}, ${call?.act} of ${call?.path}`
    for (const { name, disk: left } of workload.disk.crashStates({ random, seed, limit })) {
      const content = `${key} ${contentOf(left)}`
      if (seen.has(content)) continue
      seen.add(content)
      moments.push({ disk: left, expectation, when: `after ${when}: ${name}` })
    }
  }
  const workload = new CrashWorkload(disk, { seed, durability, onMoment, logs })
  if (mutation !== undefined) {
    disk.plan = mutation
    workload.mutation = mutation
  }
  try {
    await workload.run(steps)
  } catch (error) {
    findings.failures.push(`the workload itself failed: ${String(error)}`)
    if (untilFailure) return findings
  }
  findings.calls.push(...workload.calls)
  for (const moment of moments) {
    findings.checked++
    try {
      await checkCrash(moment.disk, moment.expectation)
    } catch (error) {
      findings.failures.push(`seed ${seed}, ${moment.when}: ${String(error)}`)
      if (untilFailure || findings.failures.length >= 5) break
    }
  }
  return findings
}
