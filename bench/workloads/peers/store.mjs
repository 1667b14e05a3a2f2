import { Arrivals } from '../../harness/payloads.mjs'

/*
 * What the stores have in common, so that each does the same work: a log of values that is appended to by batches and
 * read from its beginning.
 */

/**
 * @typedef {object} Store
 * @property {(values: readonly Uint8Array[]) => unknown} append resolves, or returns, at the durability that the store
 *   was opened with
 * @property {(onValue: (value: Uint8Array) => void) => unknown} readAll calls back with each value, in their order
 * @property {() => unknown} close
 */

/**
 * Times `rounds` appends of the same batch, each awaited, after half as many that are not timed: what follows a full
 * garbage collection runs for a while as a process does that has just begun. All of it is then read back.
 *
 * @param {Store} store empty, and closed afterwards
 * @param {readonly Uint8Array[]} batch
 * @param {number} rounds
 * @returns {Promise<{ work: number, seconds: number }>}
 */
export async function timeAppends(store, batch, rounds) {
  const leadRounds = rounds / 2
  for (let round = 0; round < leadRounds; round++) await store.append(batch)
  const startedAt = performance.now()
  for (let round = 0; round < rounds; round++) await store.append(batch)
  const seconds = (performance.now() - startedAt) / 1000
  await checkStored(store, batch, (leadRounds + rounds) * batch.length)
  await store.close()
  return { work: rounds * batch.length, seconds }
}

/**
 * Throws unless the store holds the values, over and over, `count` of them in all.
 *
 * @param {Store} store
 * @param {readonly Uint8Array[]} values
 * @param {number} count
 */
export async function checkStored(store, values, count) {
  const stored = new Arrivals()
  void stored.expect(count)
  await store.readAll((value) => stored.add(value))
  stored.check(values)
}
