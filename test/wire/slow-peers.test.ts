import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Broker, bytes, FileStorage, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeRequest } from '../../src/protocol/frames.js'
import { apiVersions } from '../../src/protocol/messages/api-versions.js'
import { fetch } from '../../src/protocol/messages/fetch.js'
import { metadata } from '../../src/protocol/messages/metadata.js'
import { doors } from './listeners.js'
import type { WireClient } from './wire-client.js'

const open = doors()
const topic = new Topic('t', { value: bytes() })

/** Bytes of all buffers of this process, which has both ends of each connection. */
const bufferBytes = (): number => process.memoryUsage().arrayBuffers

async function isServed(client: WireClient): Promise<void> {
  expect((await client.request(metadata, 9, { topics: [] })).brokers).toHaveLength(1)
}

describe('a thousand peers', () => {
  it('are answered, and cost a few kilobytes each when they announce much and send next to nothing', async () => {
    const { client, lines } = await open()
    const good = await client()
    await isServed(good)
    const before = bufferBytes()
    const peers = await Promise.all(Array.from({ length: 1000 }, client))
    const answers = await Promise.all(peers.map((peer) => peer.request(apiVersions, 0, {})))
    expect(answers.filter(({ errorCode }) => errorCode === 0)).toHaveLength(1000)
    // A hundred megabytes, of which one byte comes.
    for (const peer of peers) peer.socket.write(Buffer.from('06400000', 'hex'))
    for (const peer of peers) peer.socket.write(Buffer.from([0]))
    // Those before have been read when one behind them is answered.
    const last = await client()
    await isServed(last)
    await isServed(good)
    expect((bufferBytes() - before) / peers.length).toBeLessThan(16 * 1024)
    for (const peer of peers) peer.socket.resetAndDestroy()
    await Promise.all(peers.map(({ closed }) => closed))
    await isServed(good)
    expect(lines).toEqual([])
  })
})

describe('a peer that sends a byte a second', () => {
  it('is answered when its request is whole, and holds up nobody', async () => {
    const clock = new ManualClock()
    const { client, lines } = await open({ connectionsMaxIdleMs: 10_000 }, { clock })
    const [slow, other] = [await client(), await client()]
    const request = Buffer.concat(encodeRequest(apiVersions, 0, { correlationId: 7, clientId: 'slow' }, {}))
    for (const byte of request) {
      slow.socket.write(Buffer.from([byte]))
      await isServed(other)
      await clock.advance(1000)
    }
    expect((await slow.answer(apiVersions, 0, 7)).errorCode).toBe(0)
    expect(lines).toEqual([])
  })

  it('is closed with one line when no more come', async () => {
    const clock = new ManualClock()
    const { client, lines } = await open({ connectionsMaxIdleMs: 10_000 }, { clock })
    const slow = await client()
    slow.socket.write(Buffer.from('000000', 'hex'))
    await isServed(await client())
    await clock.advance(9_000)
    expect(lines).toEqual([])
    const other = await client()
    await isServed(other)
    await clock.advance(2_000)
    await slow.closed
    expect(lines.filter((line) => line.includes('idle for 10000 ms'))).toHaveLength(2)
    await isServed(other)
  })
})

describe('a peer that asks and never reads', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ottla-'))
  const RESPONSE_BYTES = 2_000_000
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: RESPONSE_BYTES }]
  const asked = { maxWaitMs: 0, minBytes: 1, maxBytes: RESPONSE_BYTES, topics: [{ topic: 't', partitions }] }
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  it('costs a response or two, however much it asks for, and is closed in the end', async () => {
    const clock = new ManualClock()
    const storage = () => new FileStorage(directory, { durability: 'os' })
    const writer = await Broker.open({ storage: storage() })
    await writer.topic(topic)
    for (let i = 0; i < 3; i++) await writer.producer().send(topic, { value: new Uint8Array(900_000) })
    await writer.close()
    // One that wrote none of it has to read it.
    const { client, lines } = await open({ connectionsMaxIdleMs: 10_000 }, { clock, storage: storage() })
    const deaf = await client()
    deaf.socket.pause()
    const other = await client()
    await isServed(other)
    const before = bufferBytes()
    for (let i = 0; i < 500; i++) deaf.send(fetch, 12, asked)
    let most = 0
    for (let i = 0; i < 200; i++) {
      await isServed(other)
      most = Math.max(most, bufferBytes() - before)
    }
    expect(most / RESPONSE_BYTES).toBeLessThan(10)
    for (let second = 0; second < 11; second++) {
      await isServed(other)
      await clock.advance(1000)
    }
    expect(lines).toEqual([expect.stringMatching(/closed: its answer was not read for 10000 ms/)])
    await isServed(other)
    deaf.socket.resume()
    await deaf.closed
  })
})
