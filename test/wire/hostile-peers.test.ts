import { bytes, Topic } from 'ottla'
import { expect, it } from 'vitest'
import { apiVersions } from '../../src/protocol/messages/api-versions.js'
import { fetch } from '../../src/protocol/messages/fetch.js'
import { heartbeat } from '../../src/protocol/messages/heartbeat.js'
import { joinGroup } from '../../src/protocol/messages/join-group.js'
import { metadata } from '../../src/protocol/messages/metadata.js'
import { capturedExchanges } from '../protocol/captured-frames.js'
import { randomFrom } from '../record/mutations.js'
import { doors } from './listeners.js'

const open = doors()
const topic = new Topic('t', { value: bytes() })
const framed = (frame: Uint8Array): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(frame.length)
  return Buffer.concat([length, frame])
}

it.each([
  ['a TLS hello', Buffer.from('1603010200010001fc0303', 'hex'), /A frame of 369295618 bytes is announced/],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), /A frame of 1195725856 bytes is announced/],
  ['a negative length', Buffer.from('ffffffff', 'hex'), /A frame of -1 bytes is announced/],
  ['an empty frame', Buffer.alloc(4), /cannot be read at byte 0 of 0/],
  ['an absurd array', framed(Buffer.from('0003000100000001ffff7fffffff', 'hex')), /an array of 2147483647 elements/],
])('closes a connection that begins with %s, with one line, and nobody else notices', async (_, sent, line) => {
  const { client, lines } = await open()
  const good = await client()
  const bad = await client()
  bad.socket.write(sent)
  await bad.closed
  expect(bad.received).toEqual([])
  expect(lines).toEqual([expect.stringMatching(line)])
  expect((await good.request(apiVersions, 0, {})).errorCode).toBe(0)
})

it('outlives two thousand damaged requests of real clients', async () => {
  const { broker, client } = await open({ autoCreateTopics: false, log: () => undefined })
  await broker.topic(topic)
  const seed = 20_261_127
  const random = randomFrom(seed)
  const requests = capturedExchanges().filter(({ api }) => api !== joinGroup && api !== fetch)
  let wire = await client()
  let isOver = false
  for (let round = 0; round < 2000; round++) {
    const frame = Buffer.from(requests[random(requests.length)]?.request ?? [])
    for (let i = random(3); i > 0; i--) frame[8 + random(frame.length - 8)] = random(256)
    if (isOver) wire = await client()
    isOver = wire.socket.destroyed
    if (!isOver) wire.socket.write(framed(random(5) === 0 ? frame.subarray(0, random(frame.length)) : frame))
    if (round % 20 === 0) {
      // What was sent so far has been dealt with when a request behind it is answered, or the connection is closed.
      const probe = wire.send(apiVersions, 0, {})
      await Promise.race([wire.answer(apiVersions, 0, probe).catch(() => undefined), wire.closed])
      isOver = wire.socket.destroyed
    }
  }
  expect((await (await client()).request(apiVersions, 0, {})).errorCode).toBe(0)
})

it('answers pipelined requests in their order, and a wait keeps back only those behind it', async () => {
  const { broker, client } = await open()
  await broker.topic(topic)
  const waiting = await client()
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }]
  const first = waiting.send(fetch, 12, { maxWaitMs: 2 ** 31 - 1, minBytes: 1, topics: [{ topic: 't', partitions }] })
  const second = waiting.send(metadata, 9, { topics: [] })
  const other = await client()
  expect((await other.request(metadata, 9, { topics: [] })).brokers).toHaveLength(1)
  expect(waiting.received).toEqual([])
  await broker.producer().send(topic, { value: new Uint8Array(3) })
  await waiting.answer(metadata, 9, second)
  expect(waiting.received.map((frame) => Buffer.from(frame).readInt32BE())).toEqual([first, second])
})

it('lets a client go that resets its connection in the middle of a frame or of a wait', async () => {
  const { broker, listener, client } = await open()
  await broker.topic(topic)
  const cut = await client()
  cut.socket.write(Buffer.from('0000ffff0001', 'hex'))
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }]
  const waiting = await client()
  waiting.send(fetch, 12, { maxWaitMs: 2 ** 31 - 1, minBytes: 1, topics: [{ topic: 't', partitions }] })
  const joining = await client()
  joining.send(joinGroup, 3, {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'a', metadata: new Uint8Array(0) }],
  })
  for (const wire of [cut, waiting, joining]) wire.socket.resetAndDestroy()
  await Promise.all([cut.closed, waiting.closed, joining.closed])
  expect((await (await client()).request(apiVersions, 0, {})).errorCode).toBe(0)
  await listener.close()
})

it('makes a client that does not read wait, and nobody else', async () => {
  const { broker, client } = await open()
  await broker.topic(topic)
  await broker.producer().send(topic, { value: new Uint8Array(900_000) })
  const slow = await client()
  slow.socket.pause()
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1e6 }]
  for (let i = 0; i < 100; i++)
    slow.send(fetch, 12, { maxWaitMs: 0, minBytes: 1, topics: [{ topic: 't', partitions }] })
  const other = await client()
  for (let i = 0; i < 100; i++) await other.request(metadata, 9, { topics: [] })
  expect(slow.received).toEqual([])
  slow.socket.resume()
  await slow.answer(fetch, 12, 100)
  expect(slow.received).toHaveLength(100)
})

it('refuses more connections than it may have, and takes one again when another is gone', async () => {
  const { client, lines } = await open({ maxConnections: 2 })
  const first = await client()
  const second = await client()
  await first.request(apiVersions, 0, {})
  await second.request(apiVersions, 0, {})
  const third = await client()
  await third.closed
  expect(lines).toEqual([expect.stringMatching(/closed: 2 are open/)])
  await first[Symbol.asyncDispose]()
  // The other end of a connection hears of its end a little later.
  for (;;) {
    const next = await client()
    const answer = await next.request(apiVersions, 0, {}).catch(() => undefined)
    if (answer !== undefined) break
  }
})

it('closes, more than once, while clients wait, and the broker goes on', async () => {
  const { broker, listener, client } = await open()
  await broker.topic(topic)
  const wire = await client()
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }]
  const waiting = wire.send(fetch, 12, { maxWaitMs: 2 ** 31 - 1, minBytes: 1, topics: [{ topic: 't', partitions }] })
  const idle = await client()
  await idle.request(heartbeat, 0, { groupId: 'g', generationId: 1, memberId: 'm' })
  await Promise.all([listener.close(), listener.close()])
  await Promise.all([wire.closed, idle.closed])
  // The fetch that was waiting was answered with what there was.
  expect((await wire.answer(fetch, 12, waiting)).responses[0]?.partitions[0]?.highWatermark).toBe(0)
  await broker.producer().send(topic, { value: new Uint8Array(1) })
})

it('closes the connections of a broker that is closed', async () => {
  const { broker, client, lines } = await open()
  const wire = await client()
  await broker.close()
  wire.send(metadata, 9, { topics: null })
  await wire.closed
  expect(lines).toEqual([expect.stringMatching(/The broker is closed/)])
})
