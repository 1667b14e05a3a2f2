import { processor } from '../../harness/processor.mjs'

const STRETCHES = 5

/**
 * The time that `total` sends take when each of `senders` awaits its own before it sends again. A quarter as many before
 * them are not timed: what follows a full garbage collection runs for a while as a process does that has just begun. They
 * are timed in five stretches, each of which is made again where the processor was not ours.
 *
 * @param {number} senders
 * @param {number} total
 * @param {(index: number) => Promise<unknown>} send resolves when what was sent is durable
 * @returns {Promise<{ work: number, seconds: number, sent: number }>} `sent` with what was not timed
 */
export async function closedLoop(senders, total, send) {
  let next = 0
  let end = leadOf(total)
  const sender = async () => {
    while (next < end) await send(next++)
  }
  const all = () => Promise.all(Array.from({ length: senders }, sender))
  await all()
  const seconds = await processor.timeStretches(STRETCHES, () => {
    end += total / STRETCHES
    return all()
  })
  return { work: total, seconds, sent: next }
}

/** @param {number} total */
export function leadOf(total) {
  return total / 4
}
