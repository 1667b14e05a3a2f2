/*
 * The child process in which one workload is measured: `node --expose-gc measure.mjs NAME DIRECTORY [CONTENDER]`, over
 * an IPC channel. With a contender it takes one measurement of that one alone.
 */
import { contenderNames } from './workload.mjs'

const [name, directory, only] = process.argv.slice(2)
const { workload } = await import(new URL(`../workloads/${name}.mjs`, import.meta.url))
const { contenders, close } = await workload.open({ directory, gc: globalThis.gc })
try {
  for (const contender of contenderNames(workload)) {
    if (typeof contenders[contender] !== 'function') throw new TypeError(`${name} has no contender '${contender}'`)
  }
  if (only === undefined) await measureAll()
  else report({ type: 'sample', contender: only, value: await measure(only) })
} finally {
  await close()
}
process.disconnect()

async function measureAll() {
  const { warmups, repetitions } = workload
  for (let repetition = -warmups; repetition < repetitions; repetition++) {
    for (const contender of shuffled(Object.keys(contenders))) {
      const value = await measure(contender)
      if (repetition >= 0) report({ type: 'sample', contender, value })
    }
    report({ type: 'progress', done: repetition + warmups + 1, total: warmups + repetitions })
  }
}

async function measure(contender) {
  // Nobody pays for the garbage of the one before.
  globalThis.gc()
  const startedAt = process.hrtime.bigint()
  const measured = await contenders[contender]()
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9
  const value = 'value' in measured ? measured.value : measured.work / (measured.seconds ?? seconds)
  if (!Number.isFinite(value)) throw new RangeError(`${name}: '${contender}' measured ${value}`)
  return value
}

function report(message) {
  process.send(message)
}

function shuffled(names) {
  const order = [...names]
  for (let index = order.length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1))
    ;[order[index], order[other]] = [order[other], order[index]]
  }
  return order
}
