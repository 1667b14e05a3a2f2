import type { Clock } from '../time/clock.js'

/**
 * Calls `expired` after `delayMs`; never, where that is Infinity. A timer may fire late, because the machine slept or
 * the loop was blocked, and the very request it waits for may lie unread meanwhile. So two turns of the event loop
 * pass first: one reads from the sockets, one lets the handlers run. Returns what cancels it, up to the last moment.
 */
export function scheduleExpiry(clock: Clock, delayMs: number, expired: () => void): () => void {
  if (delayMs === Number.POSITIVE_INFINITY) return () => {}
  let cancelled = false
  const readWhatWaits = async (): Promise<void> => {
    await clock.nextTurn()
    await clock.nextTurn()
    if (!cancelled) expired()
  }
  const cancelTimer = clock.schedule(() => void readWhatWaits(), delayMs)
  return () => {
    cancelled = true
    cancelTimer()
  }
}
