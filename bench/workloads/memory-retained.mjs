import { Broker, bytes, Topic } from '../../dist/index.js'
import { runs } from '../harness/dispatch.mjs'
import { Arrivals, makePayloads } from '../harness/payloads.mjs'

const BATCH = 1000
const KEY_BYTES = 8

const heap = {
  id: '18',
  label: 'heap per retained message',
  better: 'lower',
  unit: 'B',
}
const total = { ...heap, label: 'all memory per retained message' }

/** By the size of their values: as many as fill several slabs, so that the last one weighs little. */
const MESSAGES = { 100: 500_000, 1024: 100_000 }

export const workload = {
  name: 'memory-retained',
  title: 'What a retained message takes of memory',
  settings: [
    '500,000 messages of 100 B, or 100,000 of 1 KiB, each with a key of 8 B; the difference of `process.memoryUsage()` after two full GCs',
    'all memory: `heapUsed` and `external`',
    'ottla: sent by the 1,000 to 1 partition with `bytes()` and `string()`, read back and compared afterwards',
    'array of messages: `{ key, value }`, the key a string, the value a copy in a Buffer from the pool of Node',
    'bare bytes: the bytes of keys and values, one behind the other in slabs of 1 MiB',
  ],
  rows: [
    { ...heap, ours: 'ottla 100 B heap', peer: 'array of messages 100 B heap', floor: 0.01, goal: 0.001 },
    { ...total, ours: 'ottla 100 B all', peer: 'bare bytes 100 B all', floor: 1.15, goal: 1.09 },
  ],
  tables: [
    {
      title: 'Memory per retained message, key of 8 B, in bytes',
      corner: 'kept in',
      columns: ['100 B: heap', '100 B: all', '1 KiB: heap', '1 KiB: all'],
      lines: ['ottla', 'array of messages', 'bare bytes'].map((name) => ({
        label: name,
        contenders: [`${name} 100 B heap`, `${name} 100 B all`, `${name} 1 KiB heap`, `${name} 1 KiB all`],
      })),
    },
  ],
  repetitions: 5,
  warmups: 0,
  async open({ gc }) {
    const contenders = {}
    for (const [size, valueBytes] of [
      ['100 B', 100],
      ['1 KiB', 1024],
    ]) {
      const payloads = makePayloads(BATCH, valueBytes)
      const count = MESSAGES[valueBytes]
      contenders[`ottla ${size}`] = () => retainedByOttla(payloads, count, gc)
      contenders[`array of messages ${size}`] = async () => {
        const messages = []
        return measure(
          gc,
          count,
          () => fill(messages, payloads, count),
          () => checkMessages(messages, payloads, count),
        )
      }
      contenders[`bare bytes ${size}`] = async () => {
        const slabs = []
        return measure(
          gc,
          count,
          () => fillSlabs(slabs, payloads, count),
          () => checkSlabs(slabs, payloads, count),
        )
      }
    }
    return { contenders, async close() {} }
  },
}

async function measure(gc, count, retain, check) {
  const before = memoryAfter(gc)
  await retain()
  const after = memoryAfter(gc)
  await check()
  const heapBytes = after.heapUsed - before.heapUsed
  return {
    values: { heap: heapBytes / count, all: (heapBytes + after.external - before.external) / count },
  }
}

function memoryAfter(gc) {
  gc()
  gc()
  return process.memoryUsage()
}

async function retainedByOttla(payloads, count, gc) {
  const topic = new Topic('messages', { value: bytes() })
  const broker = await Broker.open()
  await broker.topic(topic)
  const producer = broker.producer()
  const measured = await measure(
    gc,
    count,
    async () => {
      for (let at = 0; at < count; at += BATCH) {
        await producer.send(
          topic,
          payloads.map((value, index) => ({ key: keyOf(at + index), value })),
        )
      }
    },
    async () => {
      const arrivals = new Arrivals()
      const arrived = arrivals.expect(count)
      await runs.batches(broker.consumerGroup('check', { topics: [topic] }), arrivals)
      await arrived
      arrivals.check(payloads)
    },
  )
  await broker.close()
  return measured
}

function fill(messages, payloads, count) {
  for (let at = 0; at < count; at++) messages.push({ key: keyOf(at), value: copyOf(payloads[at % BATCH]) })
}

function checkMessages(messages, payloads, count) {
  const arrivals = new Arrivals()
  void arrivals.expect(count)
  for (const { value } of messages) arrivals.add(value)
  arrivals.check(payloads)
}

function fillSlabs(slabs, payloads, count) {
  const bytesOfOne = KEY_BYTES + payloads[0].length
  const messagesOfSlab = Math.floor(2 ** 20 / bytesOfOne)
  for (let at = 0; at < count; at++) {
    if (at % messagesOfSlab === 0) {
      slabs.push(Buffer.allocUnsafeSlow(Math.min(messagesOfSlab, count - at) * bytesOfOne))
    }
    const slab = slabs[slabs.length - 1]
    const position = (at % messagesOfSlab) * bytesOfOne
    slab.latin1Write(keyOf(at), position)
    slab.set(payloads[at % BATCH], position + KEY_BYTES)
  }
}

function checkSlabs(slabs, payloads, count) {
  const bytesOfOne = KEY_BYTES + payloads[0].length
  const arrivals = new Arrivals()
  void arrivals.expect(count)
  for (const slab of slabs) {
    for (let position = 0; position < slab.length; position += bytesOfOne) {
      arrivals.add(slab.subarray(position + KEY_BYTES, position + bytesOfOne))
    }
  }
  arrivals.check(payloads)
}

/** Made anew for each message, as an application's keys are. */
function keyOf(index) {
  return `k${1_000_000 + index}`
}

function copyOf(value) {
  const copy = Buffer.allocUnsafe(value.length)
  copy.set(value)
  return copy
}
