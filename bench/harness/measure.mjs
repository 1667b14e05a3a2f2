import { processor } from './processor.mjs'

/* The child process in which one workload is measured: `node --expose-gc measure.mjs NAME DIRECTORY`, over an IPC channel. */
const [name, directory] = process.argv.slice(2)
// Nobody would hear what is measured.
process.on('disconnect', exit)
const { workload } = await import(new URL(`../workloads/${name}.mjs`, import.meta.url))
const { contenders, close } = await workload.open({ directory, gc: globalThis.gc })
try {
  await measureAll()
} finally {
  await close()
}
process.off('disconnect', exit)
process.disconnect()

async function measureAll() {
  const { warmups, repetitions } = workload
  for (let repetition = -warmups; repetition < repetitions; repetition++) {
    for (const contender of shuffled(Object.keys(contenders))) {
      const values = await measure(contender)
      if (repetition >= 0) report({ type: 'samples', values })
    }
    report({ type: 'progress', done: repetition + warmups + 1, total: warmups + repetitions })
  }
}

/** Values by the names under which rows and tables ask for them. */
async function measure(contender) {
  // Nobody pays for the garbage of the one before.
  globalThis.gc()
  await processor.wait()
  const startedAt = performance.now()
  const measured = await contenders[contender]()
  const seconds = (performance.now() - startedAt) / 1000
  if ('values' in measured) {
    return Object.fromEntries(Object.entries(measured.values).map(([what, value]) => [`${contender} ${what}`, value]))
  }
  return { [contender]: 'value' in measured ? measured.value : measured.work / (measured.seconds ?? seconds) }
}

function exit() {
  process.exit(1)
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
