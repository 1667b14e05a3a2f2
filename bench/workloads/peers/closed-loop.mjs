/**
 * Seconds that `total` sends take when each of `senders` awaits its own before it sends again. A quarter as many before
 * them are not timed: what follows a full garbage collection runs for a while as a process does that has just begun.
 *
 * @param {number} senders
 * @param {number} total
 * @param {(index: number) => Promise<unknown>} send resolves when what was sent is durable
 */
export async function closedLoop(senders, total, send) {
  let next = 0
  let end = leadOf(total)
  const sender = async () => {
    while (next < end) await send(next++)
  }
  const all = () => Promise.all(Array.from({ length: senders }, sender))
  await all()
  end += total
  const startedAt = performance.now()
  await all()
  return (performance.now() - startedAt) / 1000
}

/** @param {number} total */
export function leadOf(total) {
  return total / 4
}

/** @param {number} total */
export function withLead(total) {
  return leadOf(total) + total
}
