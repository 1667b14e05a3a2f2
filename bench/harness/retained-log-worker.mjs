/* The worker of retained-log.mjs: it fills a log, says how that went, and then answers what it is asked. */
import { parentPort, workerData } from 'node:worker_threads'
import { Broker, bytes, Topic } from '../../dist/index.js'
import { sends } from './dispatch.mjs'
import { Arrivals, makePayloads } from './payloads.mjs'
import { summarize } from './results.mjs'

const BATCH = 1000
const topic = new Topic('messages', { value: bytes() })
const payloads = makePayloads(BATCH, 100)
const arrivals = new Arrivals()
/** Told of each message while seeks are measured. */
let onMessage = () => {}

// What is measured is not to be the compiler's warming up.
const warm = await openLog(100_000)
await replay(warm, 100_000)
await seek(warm, 200)

const before = usedMemory()
const log = await openLog(workerData.messages)
const bytesPerMessage = (usedMemory() - before) / workerData.messages
parentPort.postMessage({ messagesPerSecond: workerData.messages / log.seconds, bytesPerMessage })
parentPort.on('message', async (question) => parentPort.postMessage(await answer(question)))

async function answer({ kind, messages, times }) {
  if (kind === 'gc') return collectGarbage()
  return kind === 'replay' ? replay(log, messages) : seek(log, times)
}

async function openLog(messages) {
  const broker = await Broker.open()
  await broker.topic(topic)
  const producer = broker.producer()
  const startedAt = performance.now()
  for (let at = 0; at < messages; at += BATCH) await sends.batch(producer, topic, payloads)
  const seconds = (performance.now() - startedAt) / 1000
  const batches = broker.consumerGroup('batches', { topics: [topic], from: 'latest' })
  await batches.runBatches((batch) => {
    for (const message of batch.messages) arrivals.add(message.value)
  })
  const single = broker.consumerGroup('single', { topics: [topic], from: 'latest' })
  await single.run((message) => onMessage(message))
  return { messages, seconds, batches, single }
}

async function replay({ messages, batches }, wanted) {
  const length = Math.min(messages, wanted)
  let seconds = 0
  for (let read = 0; read < wanted; read += length) {
    batches.pause()
    await batches.seek({ offset: BATCH * Math.floor((Math.random() * (messages - length + 1)) / BATCH) })
    const arrived = arrivals.expect(length).then(() => batches.pause())
    const startedAt = performance.now()
    batches.resume()
    await arrived
    seconds += (performance.now() - startedAt) / 1000
    arrivals.check(payloads)
  }
  return seconds
}

async function seek({ messages, single }, times) {
  const microseconds = []
  for (let time = 0; time < times; time++) {
    const target = Math.floor(Math.random() * messages)
    single.pause()
    const arrived = new Promise((resolve) => {
      onMessage = (message) => {
        if (message.offset !== target) return
        resolve(performance.now())
        single.pause()
        onMessage = () => {}
      }
    })
    const startedAt = performance.now()
    const sought = single.seek({ offset: target })
    single.resume()
    microseconds.push(((await arrived) - startedAt) * 1000)
    await sought
  }
  return summarize(microseconds).median
}

function collectGarbage() {
  const startedAt = performance.now()
  globalThis.gc()
  return performance.now() - startedAt
}

function usedMemory() {
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
