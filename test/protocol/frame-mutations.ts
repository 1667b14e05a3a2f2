import { OttlaError } from '../../src/errors.js'
import { decodeResponse, isVersionProbe, openRequest, readRequest } from '../../src/protocol/frames.js'
import type { Api } from '../../src/protocol/message-table.js'
import { EXTREMES, type Random, randomFrom, type Survival } from '../record/mutations.js'
import { capturedExchanges } from './captured-frames.js'

/**
 * Damages frames of real clients in ways that `seed` fixes, and reads each to its end. Throws where anything but an
 * OttlaError of the frame comes out, with the round and the bytes.
 */
export function surviveFrameMutations(rounds: number, seed: number): Survival {
  const random = randomFrom(seed)
  const exchanges = capturedExchanges()
  const apis = new Map<number, Api>(exchanges.map(({ api }) => [api.key, api]))
  const frames = exchanges.flatMap(({ request, response }) => [request, response])
  const survival: Survival = { decoded: 0, refused: 0 }
  for (let round = 0; round < rounds; round++) {
    const index = random(exchanges.length)
    const exchange = exchanges[index]
    if (exchange === undefined) throw new Error('no exchange')
    const isRequest = random(2) === 0
    const bytes = mutate(isRequest ? exchange.request : exchange.response, frames, isRequest ? 8 : 4, random)
    try {
      if (isRequest) readAnyRequest(bytes, apis)
      else decodeResponse(exchange.api, exchange.version, bytes)
      survival.decoded++
    } catch (error) {
      if (!OttlaError.is(error) || !/^OTTLA_(MALFORMED_FRAME|UNSUPPORTED_VERSION)$/.test(error.code)) {
        const hex = Buffer.from(bytes).toString('hex')
        throw new Error(`seed ${seed}, round ${round}, ${exchange.api.name}: ${hex}`, { cause: error })
      }
      survival.refused++
    }
  }
  return survival
}

function readAnyRequest(bytes: Uint8Array, apis: ReadonlyMap<number, Api>): void {
  const incoming = openRequest(bytes, apis)
  if (incoming.api !== undefined && !isVersionProbe(incoming)) readRequest(incoming.api, incoming)
}

/** Leaves `from` bytes alone most of the time, or little behind the header would be reached. */
export function mutate(frame: Uint8Array, frames: readonly Uint8Array[], from: number, random: Random): Uint8Array {
  let bytes = Uint8Array.from(frame)
  for (let i = 1 + random(3); i > 0; i--) {
    const start = random(8) === 0 ? 0 : Math.min(from, bytes.length)
    const at = start + random(bytes.length - start + 1)
    switch (random(5)) {
      case 0: // One bit.
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
        break
      case 1: // Cut short.
        bytes = bytes.slice(0, at)
        break
      case 2: {
        // The head of one and the tail of another.
        const other = frames[random(frames.length)] ?? bytes
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...other.subarray(random(other.length))])
        break
      }
      case 3: // A length or a number at its extremes.
        for (const [offset, byte] of (EXTREMES[random(EXTREMES.length)] ?? []).entries()) bytes[at + offset] = byte
        break
      default: // One byte more or less in the middle, so that all behind it shifts.
        bytes = Uint8Array.from([...bytes.subarray(0, at), random(256), ...bytes.subarray(at + 2 * random(2))])
    }
  }
  return bytes
}
