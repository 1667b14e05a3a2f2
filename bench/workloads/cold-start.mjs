import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const dist = new URL('../../dist/', import.meta.url)
const { resolve } = createRequire(new URL('../../package.json', import.meta.url))

/**
 * What a shell may say to every Node is not there: with NODE_EXTRA_CA_CERTS alone Node 20 reads all certificates at each
 * start, which takes it three times as long as starting.
 */
const { NODE_EXTRA_CA_CERTS, NODE_OPTIONS, NODE_COMPILE_CACHE, ...env } = process.env

/** The first message of a program that has just begun: it exits 0 from inside the handler, and 1 anywhere else. */
const program = `
async function main({ Broker, Topic }) {
  process.exitCode = 1
  const broker = await Broker.open()
  const orders = await broker.topic(new Topic('orders'))
  const group = broker.consumerGroup('billing', { topics: [orders] })
  await group.run((message) => process.exit(message.value.amount === 3 ? 0 : 1))
  await broker.producer().send(orders, { value: { amount: 3 } })
}
`

const row = {
  ours: 'ottla, ESM',
  peer: 'node -e 0',
  better: 'lower',
  unit: 'ms',
  floor: 1.5,
}

export const workload = {
  name: 'cold-start',
  title: 'A process from its start to the first message',
  settings: [
    'whole processes, one after the other, from the spawn to the exit; 5 of each a repetition, the fastest counts',
    "ottla: import, Broker.open() in memory, a topic with the default codec, a group of one, one send; the handler's first message ends it",
    'node -e 0: the same Node with nothing to do; import of kafkajs alone: an ES module with that one line',
    'none has NODE_EXTRA_CA_CERTS, NODE_OPTIONS or NODE_COMPILE_CACHE in its environment',
  ],
  rows: [
    { ...row, id: '28', label: 'import to first message handled, ESM' },
    { ...row, id: '28', label: 'require to first message handled, CommonJS', ours: 'ottla, CommonJS' },
    {
      ...row,
      id: '28',
      label: 'import to first message handled, ESM',
      peer: 'import of kafkajs alone',
      floor: undefined,
    },
  ],
  repetitions: 15,
  warmups: 2,
  async open({ directory }) {
    const esm = join(directory, 'first-message.mjs')
    const cjs = join(directory, 'first-message.cjs')
    const kafkajs = join(directory, 'kafkajs.mjs')
    writeFileSync(esm, `import * as ottla from ${JSON.stringify(new URL('index.js', dist))}\n${program}\nmain(ottla)\n`)
    writeFileSync(cjs, `${program}\nmain(require(${JSON.stringify(fileURLToPath(new URL('index.cjs', dist)))}))\n`)
    writeFileSync(kafkajs, `import ${JSON.stringify(pathToFileURL(resolve('kafkajs')))}\n`)
    return {
      contenders: {
        'ottla, ESM': () => fastest([esm]),
        'ottla, CommonJS': () => fastest([cjs]),
        'node -e 0': () => fastest(['-e', '0']),
        'import of kafkajs alone': () => fastest([kafkajs]),
      },
      async close() {},
    }
  },
}

/** @param {readonly string[]} args @returns {{ value: number }} milliseconds of the fastest of five processes */
function fastest(args) {
  const times = Array.from({ length: 5 }, () => {
    const startedAt = performance.now()
    const { status, stderr } = spawnSync(process.execPath, args, { env })
    if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}: ${stderr}`)
    return performance.now() - startedAt
  })
  return { value: Math.min(...times) }
}
