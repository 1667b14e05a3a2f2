import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameSplitter } from '../../src/protocol/frame-splitter.js'

const framed = (frame: Uint8Array): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(frame.length)
  return Buffer.concat([length, frame])
}
const copies = (frames: Iterable<Uint8Array>): string[] =>
  [...frames].map((frame) => Buffer.from(frame).toString('hex'))

describe('a frame splitter', () => {
  it('gives back the frames, however the stream is cut', () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 })
    fc.assert(
      fc.property(frames, fc.infiniteStream(fc.integer({ min: 1, max: 30 })), (sent, sizes) => {
        const stream = Buffer.concat(sent.map(framed))
        const splitter = new FrameSplitter(40)
        const received: string[] = []
        for (let at = 0; at < stream.length; ) {
          const size = sizes.next().value ?? 1
          received.push(...copies(splitter.push(stream.subarray(at, at + size))))
          at += size
        }
        expect(received).toEqual(copies(sent))
        expect(splitter.isWaiting).toBe(false)
      }),
    )
  })

  it('starts each frame anew after a chunk that ended behind a length', () => {
    const stream = Buffer.concat([4, 7, 3].map((size) => framed(new Uint8Array(size))))
    const splitter = new FrameSplitter(40)
    const chunks = [stream.subarray(0, 4), stream.subarray(4, 25), stream.subarray(25)]
    expect(chunks.flatMap((chunk) => copies(splitter.push(chunk)))).toEqual([
      '00'.repeat(4),
      '00'.repeat(7),
      '00'.repeat(3),
    ])
  })

  it('does not copy a frame that came in one piece', () => {
    const chunk = Buffer.concat([framed(new Uint8Array(100)), framed(new Uint8Array(200))])
    const frames = [...new FrameSplitter(1000).push(chunk)]
    expect(frames.map(({ buffer, byteOffset }) => [buffer, byteOffset - chunk.byteOffset])).toEqual([
      [chunk.buffer, 4],
      [chunk.buffer, 108],
    ])
  })

  it('gives the frames of a chunk before it refuses what follows them', () => {
    const received: Uint8Array[] = []
    const chunk = Buffer.concat([framed(new Uint8Array(3)), Buffer.from('GET / HTTP/1.1\r\n')])
    expect(() => {
      for (const frame of new FrameSplitter(100 * 2 ** 20).push(chunk)) received.push(frame)
    }).toThrow(expect.objectContaining({ code: 'OTTLA_MALFORMED_FRAME' }))
    expect(received).toHaveLength(1)
  })

  it.each([
    ['a TLS hello', '160301020001'],
    ['a negative length', 'ffffffff'],
    ['one byte more than is taken', '00000029'],
  ])('refuses %s', (_, hex) => {
    const splitter = new FrameSplitter(40)
    expect(() => [...splitter.push(Buffer.from(hex, 'hex'))]).toThrow(
      expect.objectContaining({ code: 'OTTLA_MALFORMED_FRAME', message: expect.stringMatching(/at most 40/) }),
    )
  })

  it('keeps little for a frame of which little has come', () => {
    const splitters = Array.from({ length: 1000 }, () => new FrameSplitter(100 * 2 ** 20))
    const before = process.memoryUsage().arrayBuffers
    for (const splitter of splitters) {
      expect([...splitter.push(Buffer.from('0640000001', 'hex'))]).toEqual([])
      expect(splitter.isWaiting).toBe(true)
    }
    // A hundred mebibytes are announced to each of a thousand.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 2 ** 20)
  })
})
