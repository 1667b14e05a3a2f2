import { type AddFolded, addByVectors } from './crc32c-vectors.js'

/**
 * Most of a CRC-32C without a table.
 *
 * The polynomial of the checksum divides x^209 + x^144 + x^54 + x^39 + x^14 + 1, found by search among the multiples of six
 * terms, and, by squaring five times, the same with every exponent 32-fold. So a word of 32 bits may be taken out of a
 * message and added to the words 65, 155, 170, 195 and 209 behind it, and the checksum is the same. Done from the first
 * word on, each word receives from those before it alone,
 *
 *     folded[i] = word[i] ^ folded[i - 65] ^ folded[i - 155] ^ folded[i - 170] ^ folded[i - 195] ^ folded[i - 209]
 *
 * and what the last words received is left: a message of some 850 bytes with the same checksum. As many words are folded
 * at once as fit a vector. (The idea is that of Russell, "Chorba: A novel CRC32 implementation", 2024.)
 */

/**
 * Returns a short message whose bytes take the register of a CRC from 0 to where buffer[start, end) takes it from `before`.
 * It is valid until the next call. There must be LEAST_FOLDED_BYTES.
 */
export type Fold = (before: number, buffer: Uint8Array, start: number, end: number) => Uint8Array

export const LEAST_FOLDED_BYTES = 2048

const DISTANCES = [65, 155, 170, 195, 209].map((words) => 4 * words)
const FARTHEST = 4 * 209

/** What is added in one round of a loop. */
const STEP_BYTES = 32

/** Memory: what was folded last, or zeros; a chunk, small enough to stay in the first cache; what is left. */
const CHUNK_AT = roundUp(FARTHEST)
const CHUNK_BYTES = 24 * 1024
const REST_AT = CHUNK_AT + CHUNK_BYTES + LEAST_FOLDED_BYTES
const MEMORY_BYTES = REST_AT + 2 * CHUNK_AT

/** Undefined where there is no WebAssembly, none with vectors, or no address space for its memory, of which V8 takes much. */
export function foldByVectors(): Fold | undefined {
  const vectors = addByVectors(DISTANCES, STEP_BYTES, MEMORY_BYTES)
  return vectors && foldWith(vectors.memory, vectors.addFolded)
}

/** In JavaScript. A view for each distance makes one index do for all of them. */
export function foldByWords(): Fold {
  const memory = new ArrayBuffer(MEMORY_BYTES)
  const words = new Int32Array(memory)
  const viewOf = (index: number): Int32Array => words.subarray((FARTHEST - (DISTANCES[index] ?? 0)) / 4)
  const [a, b, c, d, e] = [viewOf(0), viewOf(1), viewOf(2), viewOf(3), viewOf(4)]
  return foldWith(memory, (target, farthest, end) => {
    const last = end >> 2
    for (let at = target >> 2, from = farthest >> 2; at < last; at++, from++) {
      words[at] = (words[at] ?? 0) ^ (a[from] ?? 0) ^ (b[from] ?? 0) ^ (c[from] ?? 0) ^ (d[from] ?? 0) ^ (e[from] ?? 0)
    }
  })
}

function foldWith(memory: ArrayBuffer, addFolded: AddFolded): Fold {
  const room = new Uint8Array(memory)
  const addTo = (target: number, place: number, bytes: number): void =>
    addFolded(target, place - FARTHEST, target + roundUp(bytes))
  const load = (register: number, buffer: Uint8Array, start: number, end: number): void => {
    room.set(new Uint8Array(buffer.buffer, buffer.byteOffset + start, end - start), CHUNK_AT)
    // To begin with a register is to have it in the first word.
    for (let byte = 0; byte < 4; byte++)
      room[CHUNK_AT + byte] = (room[CHUNK_AT + byte] ?? 0) ^ (register >>> (8 * byte))
  }

  return (before, buffer, start, end) => {
    room.fill(0, 0, CHUNK_AT)
    let register = before
    let from = start
    for (; end - from >= CHUNK_BYTES + LEAST_FOLDED_BYTES; from += CHUNK_BYTES) {
      load(register, buffer, from, from + CHUNK_BYTES)
      register = 0
      addTo(CHUNK_AT, CHUNK_AT, CHUNK_BYTES)
      room.copyWithin(0, CHUNK_BYTES, CHUNK_BYTES + CHUNK_AT)
    }
    load(register, buffer, from, end)
    const bytes = end - from
    const folded = roundUp(bytes - FARTHEST - STEP_BYTES)
    addTo(CHUNK_AT, CHUNK_AT, folded)
    // The rest receives from what was folded, and nothing from itself: zeros take its place.
    const restStart = CHUNK_AT + folded
    const rest = bytes - folded
    room.copyWithin(REST_AT, restStart, restStart + rest)
    room.fill(0, restStart, restStart + rest)
    addTo(REST_AT, restStart, rest)
    return room.subarray(REST_AT, REST_AT + rest)
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / STEP_BYTES) * STEP_BYTES
}
