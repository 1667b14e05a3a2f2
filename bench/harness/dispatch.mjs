import { EventEmitter } from 'node:events'
import Emittery from 'emittery'
import { promise as fastqPromise } from 'fastq'
import mqemitter from 'mqemitter'
import { Broker, bytes, MemoryStorage, Topic } from '../../dist/index.js'
import { Arrivals } from './payloads.mjs'
import { processor } from './processor.mjs'

/*
 * Contenders that hand payloads to listeners in the same process. All of them send the payloads, in order, `rounds` times
 * over, a new message object for each, and are done when every listener got everything. Where a send has a promise, the
 * last one of a round is awaited before the next round: the others were settled before it.
 *
 * A measurement takes some milliseconds, about the same for each contender of a workload, and there are many of them:
 * whatever else the machine does takes the processor away for milliseconds at a time, which would hit a longer one nearly
 * always and a shorter one nearly never. Before the time is taken the same work is done once without: the harness has
 * just collected all garbage, and everybody is slow for a moment after that.
 */

/** @typedef {{ payloads: readonly Uint8Array[], rounds: number, listeners?: number }} Dispatch */

/**
 * One broker in memory for all measurements, as an application has one. Its memory is bounded, or the growth of the
 * process would be measured: the bound is several times what is ever under way, so that nothing is lost before it was read,
 * and what is lost would not go unnoticed.
 *
 * @param {Dispatch & {
 *   partitions?: number,
 *   run: (group: import('../../dist/index.js').ConsumerGroup, arrivals: Arrivals) => Promise<void>,
 *   send: (producer: import('../../dist/index.js').Producer, topic: Topic, payloads: readonly Uint8Array[]) => Promise<unknown>,
 * }} dispatch
 */
export function ottla({ payloads, rounds, listeners = 1, partitions = 1, run, send }) {
  const topic = new Topic('messages', { value: bytes(), partitions })
  const arrivals = manyArrivals(listeners, { anyOrder: partitions > 1 })
  let producer
  return async () => {
    producer ??= await open()
    return measure(payloads, rounds, arrivals, () => send(producer, topic, payloads))
  }

  async function open() {
    const maxBytes = (64 + 2 * partitions) * 2 ** 20
    // No partition gives up the segment that it writes to: of its others it drops the oldest.
    const segmentBytes = Math.floor(maxBytes / (16 * partitions))
    const broker = await Broker.open({ storage: new MemoryStorage({ maxBytes, segmentBytes, lossy: true }) })
    await broker.topic(topic)
    for (const [index, ofGroup] of arrivals.entries()) {
      await run(broker.consumerGroup(`group-${index}`, { topics: [topic] }), ofGroup)
    }
    return broker.producer()
  }
}

/**
 * What every listener does. The message is kept until the next one comes: V8 does not even make one that it sees to be
 * dropped, and no listener of an application is as short as that.
 */
function take(arrivals, message) {
  arrivals.message = message
  arrivals.add(message.value)
}

/** Handlers of ottla, by the way in which they take messages. */
export const runs = {
  batches: (group, arrivals) =>
    group.runBatches((batch) => {
      for (const message of batch.messages) take(arrivals, message)
    }),
  sync: (group, arrivals) =>
    group.run((message) => {
      take(arrivals, message)
    }),
  async: (group, arrivals) =>
    group.run(async (message) => {
      take(arrivals, message)
    }),
}

/** Ways of ottla to send one round. */
export const sends = {
  batch: (producer, topic, payloads) => producer.send(topic, payloads.map(toMessage)),
  each: (producer, topic, payloads) => {
    let last
    for (const value of payloads) last = producer.send(topic, { value })
    return last
  },
}

/** The same with a key for each message: text, of which there are as many as payloads. @param {readonly string[]} keys */
export function keyed(keys) {
  return {
    batch: (producer, topic, payloads) =>
      producer.send(
        topic,
        payloads.map((value, index) => ({ key: keys[index], value })),
      ),
    each: (producer, topic, payloads) => {
      // Over several partitions the last send is not the last to be acknowledged.
      return Promise.all(payloads.map((value, index) => producer.send(topic, { key: keys[index], value })))
    },
  }
}

/** @param {Dispatch} dispatch */
export function eventEmitter({ payloads, rounds, listeners = 1 }) {
  const emitter = new EventEmitter()
  const arrivals = manyArrivals(listeners)
  for (const of of arrivals) emitter.on('message', (message) => take(of, message))
  return () =>
    measure(payloads, rounds, arrivals, () => {
      for (const value of payloads) emitter.emit('message', { value })
    })
}

/** @param {Dispatch} dispatch */
export function mqEmitter({ payloads, rounds, listeners = 1 }) {
  const emitter = mqemitter({ concurrency: 1 })
  const arrivals = manyArrivals(listeners)
  for (const of of arrivals) {
    emitter.on('message', (message, done) => {
      take(of, message)
      done()
    })
  }
  return () =>
    measure(payloads, rounds, arrivals, () => {
      for (const value of payloads) emitter.emit({ topic: 'message', value }, onEmitted)
    })
}

/** A listener is a queue of its own. @param {Dispatch} dispatch */
export function fastq({ payloads, rounds, listeners = 1 }) {
  const arrivals = manyArrivals(listeners)
  const queues = arrivals.map((of) => fastqPromise(async (message) => take(of, message), 1))
  return () =>
    measure(payloads, rounds, arrivals, () => {
      let last
      for (const value of payloads) {
        const message = { value }
        for (const queue of queues) last = queue.push(message)
      }
      return last
    })
}

/** @param {Dispatch} dispatch */
export function emittery({ payloads, rounds, listeners = 1 }) {
  const emitter = new Emittery()
  const arrivals = manyArrivals(listeners)
  for (const of of arrivals) emitter.on('message', (message) => take(of, message))
  return () =>
    measure(payloads, rounds, arrivals, () => {
      let last
      for (const value of payloads) last = emitter.emit('message', { value })
      return last
    })
}

/** No dispatcher at all: one async handler is awaited for each message, which has the properties of ottla's. @param {Dispatch} dispatch */
export function awaitedHandler({ payloads, rounds }) {
  const arrivals = manyArrivals(1)
  const handler = async (message) => take(arrivals[0], message)
  let offset = 0
  return () =>
    measure(payloads, rounds, arrivals, async () => {
      for (const value of payloads) await handler(new PlainMessage(offset++, value))
    })
}

/** A class of its own: an object literal with the properties of ottla's would share its hidden class, and what V8 learns of that from the one would slow the other. */
class PlainMessage {
  constructor(offset, value) {
    this.topic = 'messages'
    this.partition = 0
    this.offset = offset
    this.timestamp = 1_700_000_000_000 + offset
    this.key = null
    this.value = value
    this.headers = headers
  }
}

const headers = Object.freeze({})

async function measure(payloads, rounds, arrivals, sendRound) {
  await dispatchAll(payloads, rounds, arrivals, sendRound)
  const seconds = await processor.time(() => dispatchAll(payloads, rounds, arrivals, sendRound))
  for (const of of arrivals) of.check(payloads)
  return { work: rounds * payloads.length, seconds }
}

async function dispatchAll(payloads, rounds, arrivals, sendRound) {
  const arrived = arrivals.map((of) => of.expect(rounds * payloads.length))
  for (let round = 0; round < rounds; round++) {
    const sent = sendRound()
    // The peers that return nothing are not to wait for anything.
    if (sent !== undefined) await sent
  }
  await Promise.all(arrived)
}

function manyArrivals(count, options) {
  return Array.from({ length: count }, () => new Arrivals(options))
}

function toMessage(value) {
  return { value }
}

function onEmitted(error) {
  if (error) throw error
}
