import { SimulatedFileSystem } from '../../src/testing/simulated-file-system.js'
import { type BrokerModel, BrokerWorkload, checkBroker } from './broker-workload.js'

interface BrokerCrashSearch {
  readonly steps: number
  /** Crash states at each call, at most. */
  readonly limit: number
  /** What the disk does wrong all the time. */
  readonly mutation?: SimulatedFileSystem['plan']
}

/** Runs an app of so many steps, and opens what a crash after each call of its disk may leave. */
export async function brokerCrashes(
  seed: number,
  { steps, limit, mutation }: BrokerCrashSearch,
): Promise<{ failures: string[]; checked: number }> {
  const moments: { readonly disk: SimulatedFileSystem; readonly model: BrokerModel; readonly when: string }[] = []
  const machine = new SimulatedFileSystem()
  if (mutation !== undefined) machine.plan = mutation
  const workload = new BrokerWorkload(machine, seed, ({ disk, model }) => {
    const call = disk.calls.at(-1)
    for (const { name, disk: left } of disk.crashStates({ random: 2, seed, limit })) {
      moments.push({
        disk: left,
        model,
        when: `seed ${seed}, call ${call?.number}, ${call?.act} of ${call?.path}: ${name}`,
      })
    }
  })
  await workload.run(steps)
  const failures: string[] = []
  for (const { disk, model, when } of moments) {
    try {
      await checkBroker(disk, model)
    } catch (error) {
      failures.push(`${when}: ${String(error)}`)
      if (failures.length === 3) break
    }
  }
  return { failures, checked: moments.length }
}
