import { describe, expect, it } from 'vitest'
import type { DiskCall } from '../../src/testing/simulated-file-system.js'
import { type CrashSearch, crashesOf } from '../storage/file/crash-search.js'
import { EVERY_STEP, SCRIPTS, type Step } from '../storage/file/crash-workload.js'

/** Where something is lost once a sync does nothing: the wide one first, then those that look closely. */
const WORKLOADS: readonly (readonly [steps: readonly Step[], search: CrashSearch])[] = [
  [EVERY_STEP, { seed: 1, random: 0, limit: 3 }],
  [SCRIPTS.gaps, { seed: 1, random: 0, logs: 1 }],
  [SCRIPTS.replacements, { seed: 1, random: 2, logs: 1 }],
  [SCRIPTS.cuts, { seed: 1, random: 2, logs: 1 }],
  [SCRIPTS.removals, { seed: 3, random: 2, logs: 1 }],
]

/** Who asked for a sync: the functions of the storage on the way to it. */
function siteOf({ act, callers }: DiskCall): string {
  const end = callers.findIndex((name) => name.startsWith('CrashWorkload'))
  return `${act} by ${callers.slice(0, end < 0 ? callers.length : end).join(' < ')}`
}

async function sites(): Promise<string[]> {
  const found = new Set<string>()
  for (const [steps, search] of WORKLOADS) {
    const { calls, failures } = await crashesOf(steps, { ...search, random: 0, limit: 0, recordsCallers: true })
    expect(failures).toEqual([])
    for (const call of calls) if (call.act === 'dataSync' || call.act === 'syncDirectory') found.add(siteOf(call))
  }
  return [...found].sort()
}

/** True where some crash shows that the sync is missing. */
async function isMissed(site: string): Promise<boolean> {
  const mutation = (call: DiskCall) => (siteOf(call) === site ? { lies: true as const } : undefined)
  for (const [steps, search] of WORKLOADS) {
    const { failures } = await crashesOf(steps, { ...search, mutation, untilFailure: true, recordsCallers: true })
    if (failures.length > 0) return true
  }
  return false
}

describe('each sync of the storage', () => {
  it('is missed when it is left out', { timeout: 300_000 }, async () => {
    const all = await sites()
    const survivors: string[] = []
    for (const site of all) if (!(await isMissed(site))) survivors.push(site)
    console.log(`${all.length - survivors.length} of ${all.length} syncs are missed when they are left out`)
    expect(survivors).toEqual([])
  })
})
