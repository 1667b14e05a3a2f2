import { OttlaError } from '../errors.js'
import type { Clock } from '../time/clock.js'
import type { HandledPlace } from './held-partitions.js'

/** True when `work` settles within the time; rejects where it does so then. */
export async function settlesWithin(work: Promise<unknown>, timeoutMs: number, clock: Clock): Promise<boolean> {
  if (timeoutMs === Number.POSITIVE_INFINITY) return work.then(() => true)
  let cancel = (): void => {}
  const overdue = new Promise<false>((resolve) => {
    cancel = clock.schedule(() => resolve(false), timeoutMs, { keepAlive: true })
  })
  return Promise.race([work.then(() => true as const), overdue]).finally(cancel)
}

export function closeTimedOut(id: string, timeoutMs: number, at: readonly HandledPlace[]): OttlaError {
  const where = at.map(({ topic, partition, offset }) => `${topic}-${partition} offset ${offset}`).join(', ')
  return new OttlaError(
    'OTTLA_CLOSE_TIMEOUT',
    `This member of group ${id} left after ${timeoutMs} ms, while handlers were still at work${where === '' ? '' : `: ${where}`}. What they work on is not committed, and is delivered again`,
  )
}
