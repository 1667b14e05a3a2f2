import { describe, expect, it } from 'vitest'
import { APIS } from '../../src/protocol/apis.js'
import {
  answerVersion,
  correlationIdOf,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  isVersionProbe,
  openRequest,
  readRequest,
} from '../../src/protocol/frames.js'
import { apiVersions } from '../../src/protocol/messages/api-versions.js'
import { fetch } from '../../src/protocol/messages/fetch.js'
import { heartbeat } from '../../src/protocol/messages/heartbeat.js'
import { joinGroup } from '../../src/protocol/messages/join-group.js'
import { metadata } from '../../src/protocol/messages/metadata.js'
import { saslHandshake } from '../../src/protocol/messages/sasl-handshake.js'

const apis = new Map(APIS.map((api) => [api.key, api]))
const failure = (code: string, message = /./): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) })
const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/\s/g, ''), 'hex')
const frameOf = (pieces: readonly Uint8Array[]): Buffer => Buffer.concat(pieces).subarray(4)
const asked = { correlationId: 7, clientId: 'c' }

describe('the header of a request', () => {
  it('has a client id of an int16 length, and tags in flexible versions only', () => {
    const hex = (version: number): string =>
      Buffer.concat(encodeRequest(metadata, version, asked, { topics: [] })).toString('hex')
    expect(hex(4)).toBe('00000010 0003 0004 00000007 0001 63 00000000 01'.replace(/ /g, ''))
    expect(hex(9)).toBe('00000011 0003 0009 00000007 0001 63 00 01 01 00 00 00'.replace(/ /g, ''))
    const handshake = Buffer.concat(encodeRequest(saslHandshake, 1, { ...asked, clientId: null }, { mechanism: 'X' }))
    expect(handshake.toString('hex')).toBe('0000000d 0011 0001 00000007 ffff 0001 58'.replace(/ /g, ''))
  })

  it('is read with tags that nobody knows', () => {
    const incoming = openRequest(bytes('000c 0004 00000007 ffff 01 05 02 aabb  02 67 00000001 02 6d 00 00'), apis)
    expect(incoming).toMatchObject({
      header: { apiKey: 12, apiVersion: 4, correlationId: 7, clientId: null },
      api: heartbeat,
    })
    expect(readRequest(heartbeat, incoming)).toEqual({
      groupId: 'g',
      generationId: 1,
      memberId: 'm',
      groupInstanceId: null,
    })
  })

  it('of an API that is not spoken names its key, so that the caller can say so', () => {
    const incoming = openRequest(bytes('0047 0000 00000007 ffff 00'), apis)
    expect(incoming.api).toBeUndefined()
    expect(incoming.header.apiKey).toBe(71)
  })

  it.each([-1, 3, 19, 32767])('of Fetch in version %i, which is not spoken, is refused', (version) => {
    const header = Buffer.alloc(10)
    header.writeInt16BE(1, 0)
    header.writeInt16BE(version, 2)
    header.writeInt16BE(-1, 8)
    expect(() => openRequest(header, apis)).toThrow(failure('OTTLA_UNSUPPORTED_VERSION', /of Fetch.*4 to 18/))
    expect(() => encodeRequest(fetch, version, asked, { maxWaitMs: 0, minBytes: 0, topics: [] })).toThrow(
      failure('OTTLA_UNSUPPORTED_VERSION'),
    )
  })

  it('that is cut is malformed at every length', () => {
    const whole = frameOf(encodeRequest(heartbeat, 4, asked, { groupId: 'g', generationId: 1, memberId: 'm' }))
    for (let length = 0; length < whole.length; length++) {
      expect(() => readRequest(heartbeat, openRequest(whole.subarray(0, length), apis)), `${length}`).toThrow(
        failure('OTTLA_MALFORMED_FRAME', new RegExp(`of ${length}`)),
      )
    }
  })
})

describe('the header of a response', () => {
  it('has tags in flexible versions, but never that of ApiVersions', () => {
    expect(frameOf(encodeResponse(heartbeat, 3, 7, { errorCode: 27 })).toString('hex')).toBe(
      '00000007000000000' + '01b',
    )
    expect(frameOf(encodeResponse(heartbeat, 4, 7, { errorCode: 27 })).toString('hex')).toBe('000000070000000000001b00')
    expect(frameOf(encodeResponse(apiVersions, 3, 7, { errorCode: 0, apiKeys: [] })).toString('hex')).toBe(
      '00000007 0000 01 00000000 00'.replace(/ /g, ''),
    )
  })

  it('says which request it answers', () => {
    expect(correlationIdOf(bytes('00000007 0000'))).toBe(7)
    expect(() => correlationIdOf(bytes('000000'))).toThrow(failure('OTTLA_MALFORMED_FRAME'))
  })
})

describe('ApiVersions in a version of the future', () => {
  const future = bytes('0012 0063 00000007 0001 63 00 05')

  it('is known for a probe, of which only the header is read', () => {
    const incoming = openRequest(future, apis)
    expect(isVersionProbe(incoming)).toBe(true)
    expect(incoming.header).toEqual({ apiKey: 18, apiVersion: 99, correlationId: 7, clientId: 'c' })
    expect(isVersionProbe(openRequest(bytes('0012 0000 00000007 ffff'), apis))).toBe(false)
  })

  it('is answered in version 0, and a client reads the answer so whatever it asked for', () => {
    expect(answerVersion(apiVersions, 99)).toBe(0)
    expect(answerVersion(apiVersions, 4)).toBe(4)
    const answer = frameOf(
      encodeResponse(apiVersions, answerVersion(apiVersions, 99), 7, {
        errorCode: 35,
        apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }],
      }),
    )
    expect(answer.toString('hex')).toBe('00000007 0023 00000001 0012 0000 0004'.replace(/ /g, ''))
    expect(decodeResponse(apiVersions, 4, answer)).toMatchObject({
      errorCode: 35,
      apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }],
      supportedFeatures: [],
      finalizedFeaturesEpoch: -1,
    })
  })
})

describe('a message', () => {
  const topic = {
    topicId: 'AAECAwQFBgcICQoLDA0ODw',
    partitions: [{ partition: 0, fetchOffset: 9, partitionMaxBytes: 1 }],
  }
  const request = { maxWaitMs: 1, minBytes: 1, topics: [topic] }

  it('has the defaults of what its version lacks', () => {
    const read = readRequest(fetch, openRequest(frameOf(encodeRequest(fetch, 13, asked, request)), apis))
    expect(read).toMatchObject({ replicaState: { replicaId: -1, replicaEpoch: -1 }, maxBytes: 2 ** 31 - 1, rackId: '' })
    expect(read.topics).toMatchObject([{ topic: '', topicId: topic.topicId, partitions: [{ highWatermark: 2 ** 63 }] }])
  })

  it('may have bytes behind it that do not belong there', () => {
    const sent = Buffer.concat([frameOf(encodeRequest(metadata, 13, asked, { topics: [] })), bytes('010203')])
    expect(readRequest(metadata, openRequest(sent, apis)).topics).toEqual([])
  })

  it('gives record batches on without a copy, and the rest around them', () => {
    const large = [new Uint8Array(5000).fill(1), new Uint8Array(3).fill(2), new Uint8Array(1024).fill(3)]
    const partitions = [
      { partitionIndex: 0, errorCode: 0, highWatermark: 1, records: large, abortedTransactions: null },
    ]
    const pieces = encodeResponse(fetch, 12, 7, { throttleTimeMs: 0, responses: [{ topic: 't', partitions }] })
    expect(pieces).toContain(large[0])
    expect(pieces).not.toContain(large[1])
    expect(pieces).toContain(large[2])
    const all = Buffer.concat(pieces)
    expect(all.readInt32BE()).toBe(all.length - 4)
    const read = decodeResponse(fetch, 12, all.subarray(4))
    expect(read.responses[0]?.partitions[0]?.records).toEqual(Buffer.concat(large))
  })

  it.each([
    ['an array of 2^31 - 1 elements', '0003 0001 00000007 ffff 7fffffff', /an array of 2147483647 elements/],
    ['an array of a negative length', '0003 0001 00000007 ffff fffffffe', /an array of -2 elements/],
    [
      'a compact array of 2^32 - 2 elements',
      '0003 0009 00000007 ffff 00 ffffffff0f',
      /an array of 4294967294 elements/,
    ],
    [
      'a length in a uvarint of 33 bits',
      '0003 0009 00000007 ffff 00 ffffffff1f',
      /a uvarint does not fit into 32 bits/,
    ],
    ['a string of a negative length', '0003 0001 00000007 ffff 00000001 fffe', /-2 bytes are announced/],
    ['a null where the version has none', '0003 0000 00000007 ffff ffffffff', /an array must not be null/],
    ['a null string where the version has none', '0003 0001 00000007 ffff 00000001 ffff', /a string must not be null/],
    [
      'a compact string longer than an int16',
      `0003 0009 00000007 ffff 00 02 818002${'61'.repeat(32_768)}00`,
      /a string of 32768/,
    ],
    [
      'a tagged field of another size',
      '0012 0003 00000007 ffff 00 02 61 02 62 01 00 ffffffff07',
      /bytes are announced/,
    ],
  ])('with %s is malformed', (_, hex, reason) => {
    expect(() => {
      const incoming = openRequest(bytes(hex), apis)
      if (incoming.api !== undefined) readRequest(incoming.api, incoming)
    }).toThrow(failure('OTTLA_MALFORMED_FRAME', reason))
  })

  it('of a small frame cannot make a million objects', () => {
    // Version 1 of Metadata names topics in two bytes each, which become objects.
    const names = Buffer.alloc(2 * 1_000_001)
    const frame = Buffer.concat([bytes('0003 0001 00000007 ffff'), Buffer.alloc(4), names])
    frame.writeInt32BE(1_000_001, 10)
    expect(() => readRequest(metadata, openRequest(frame, apis))).toThrow(
      failure('OTTLA_MALFORMED_FRAME', /more than 1000000 elements/),
    )
  })

  it.each([
    ['a number that is too large', { sessionTimeoutMs: 2 ** 31 }, /2147483648 does not fit into an int32/],
    ['a fraction', { sessionTimeoutMs: 0.5 }, /0.5 does not fit/],
    ['a text that is too long', { groupId: 'x'.repeat(32_768) }, /A text of 32768 bytes/],
    ['a null where there is none', { memberId: null as never }, /The field memberId cannot be null/],
  ])('is not written with %s', (_, fields, reason) => {
    const valid = { groupId: 'g', sessionTimeoutMs: 1, memberId: '', protocolType: 'consumer', protocols: [] }
    expect(encodeRequest(joinGroup, 5, asked, valid)).toHaveLength(1)
    expect(() => encodeRequest(joinGroup, 5, asked, { ...valid, ...fields })).toThrow(
      failure('OTTLA_INVALID_ARGUMENT', reason),
    )
  })

  it('is not written with an id that is none', () => {
    for (const topicId of ['x', 'AAECAwQFBgcICQoLDA0ODwAA', 'AAECAwQFBgcICQoLDA0O!!']) {
      expect(() => encodeRequest(fetch, 13, asked, { ...request, topics: [{ ...topic, topicId }] })).toThrow(
        failure('OTTLA_INVALID_ARGUMENT', /is no id of Kafka's/),
      )
    }
  })
})
