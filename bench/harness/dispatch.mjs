import { EventEmitter } from 'node:events'
import Emittery from 'emittery'
import { promise as fastqPromise } from 'fastq'
import mqemitter from 'mqemitter'
import { Broker, bytes, Topic } from '../../dist/index.js'
import { Arrivals } from './payloads.mjs'

/*
 * Contenders that hand payloads to listeners in the same process. All of them send the payloads, in order, `rounds` times
 * over, a new message object for each, and are done when every listener got everything. Where a send has a promise, the
 * last one of a round is awaited before the next round: the others were settled before it.
 */

/** @typedef {{ payloads: readonly Uint8Array[], rounds: number, listeners?: number }} Dispatch */

/**
 * A broker in memory, new for each measurement, so that what earlier ones left in the log costs nothing. The one before
 * is closed after that: code that was compiled for objects that are all gone is thrown away with them, and no
 * application is without a broker in between.
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
  let before
  return async () => {
    const broker = await Broker.open()
    await before?.close()
    before = broker
    await broker.topic(topic)
    for (const [index, ofGroup] of arrivals.entries()) {
      await run(broker.consumerGroup(`group-${index}`, { topics: [topic] }), ofGroup)
    }
    const producer = broker.producer()
    return measure(payloads, rounds, arrivals, () => send(producer, topic, payloads))
  }
}

/** Handlers of ottla, by the way in which they take messages. */
export const runs = {
  batches: (group, arrivals) =>
    group.runBatches((batch) => {
      for (const message of batch.messages) arrivals.add(message.value)
    }),
  sync: (group, arrivals) =>
    group.run((message) => {
      arrivals.add(message.value)
    }),
  async: (group, arrivals) =>
    group.run(async (message) => {
      arrivals.add(message.value)
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
  for (const of of arrivals) emitter.on('message', (message) => of.add(message.value))
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
      of.add(message.value)
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
  const queues = arrivals.map((of) => fastqPromise(async (message) => of.add(message.value), 1))
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
  for (const of of arrivals) emitter.on('message', (message) => of.add(message.value))
  return () =>
    measure(payloads, rounds, arrivals, () => {
      let last
      for (const value of payloads) last = emitter.emit('message', { value })
      return last
    })
}

/** No dispatcher at all: one async handler is awaited for each message. @param {Dispatch} dispatch */
export function awaitedHandler({ payloads, rounds }) {
  const arrivals = manyArrivals(1)
  const handler = async (message) => arrivals[0].add(message.value)
  return () =>
    measure(payloads, rounds, arrivals, async () => {
      for (const value of payloads) await handler({ value })
    })
}

async function measure(payloads, rounds, arrivals, sendRound) {
  const work = rounds * payloads.length
  const arrived = arrivals.map((of) => of.expect(work))
  const startedAt = performance.now()
  for (let round = 0; round < rounds; round++) {
    const sent = sendRound()
    // The peers that return nothing are not to wait for anything.
    if (sent !== undefined) await sent
  }
  await Promise.all(arrived)
  const seconds = (performance.now() - startedAt) / 1000
  for (const of of arrivals) of.check(payloads)
  return { work, seconds }
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
