/**
 * CRC-32C by vectors of 16 bytes, for a machine whose V8 has them in WebAssembly.
 *
 * A block is sixteen stretches of 256 bytes, whose checksums are made beside each other: lane i of each vector is
 * stretch i. Of sixteen bytes of each stretch a transposition makes vectors of their first bytes, their second bytes and
 * so on. The table of a byte is the sum of the tables of its two halves, which have sixteen entries and fit a vector, so
 * that a permutation looks sixteen bytes up at once:
 *
 *     stretch 0  [ a0 a1 a2 .. ]          [ a0 b0 c0 .. ]   first bytes       crc byte k =
 *     stretch 1  [ b0 b1 b2 .. ]   --->   [ a1 b1 c1 .. ]   second bytes        crc byte k+1 ^ LOW[k][x & 15] ^ HIGH[k][x >> 4]
 *     stretch 2  [ c0 c1 c2 .. ]          [ a2 b2 c2 .. ]                       where x = byte ^ crc byte 0
 *
 * At the end of a block each checksum is moved over what lies behind its stretch, and added to the next one.
 *
 * The module is assembled here, since its loops are unrolled and its bytes would tell nobody anything.
 */

/** What `vectorsOf` makes: the register of a CRC after `blocks` of BLOCK_BYTES from `start` on. */
export type UpdateByVectors = (before: number, buffer: Uint8Array, start: number, blocks: number) => number

const STRETCH_BYTES = 256
export const BLOCK_BYTES: number = 16 * STRETCH_BYTES

/** Memory: the tables of half bytes, the checksums of the stretches, the tables of the move, the bytes. */
const SUMS_AT = 128
const MOVES_AT = 1024
const BYTES_AT = 8192
const MEMORY_PAGES = 2
const MOST_BLOCKS = Math.floor((MEMORY_PAGES * 65_536 - BYTES_AT) / BLOCK_BYTES)

/**
 * `byteTable` is that of the bytewise CRC. Undefined where there is no WebAssembly, none with vectors, or no address space
 * for its memory, of which V8 takes much.
 */
export function vectorsOf(byteTable: Int32Array): UpdateByVectors | undefined {
  const exports = instantiate()
  if (exports === undefined) return undefined
  const { memory, update } = exports
  fillTables(new Uint8Array(memory.buffer), byteTable)
  const room = new Uint8Array(memory.buffer, BYTES_AT, MOST_BLOCKS * BLOCK_BYTES)
  return (before, buffer, start, blocks) => {
    let crc = before
    for (let done = 0; done < blocks; ) {
      const count = Math.min(blocks - done, MOST_BLOCKS)
      const from = start + done * BLOCK_BYTES
      room.set(new Uint8Array(buffer.buffer, buffer.byteOffset + from, count * BLOCK_BYTES))
      crc = update(BYTES_AT, count, crc)
      done += count
    }
    return crc
  }
}

function instantiate(): Exports | undefined {
  const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyNamespace }
  if (WebAssembly === undefined) return undefined
  const bytes = assemble()
  if (!WebAssembly.validate(bytes)) return undefined
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** The types of ES2022 have no WebAssembly. */
interface WebAssemblyNamespace {
  validate(bytes: Uint8Array): boolean
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: Exports }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly update: (start: number, blocks: number, before: number) => number
}

function fillTables(memory: Uint8Array, byteTable: Int32Array): void {
  const view = new DataView(memory.buffer)
  const entry = (index: number): number => byteTable[index] ?? 0
  const moved = (before: number): number => {
    let crc = before
    for (let zero = 0; zero < STRETCH_BYTES; zero++) crc = (crc >>> 8) ^ entry(crc & 255)
    return crc
  }
  for (let half = 0; half < 16; half++) {
    for (let byte = 0; byte < 4; byte++) {
      memory[16 * byte + half] = entry(half) >>> (8 * byte)
      memory[64 + 16 * byte + half] = entry(half << 4) >>> (8 * byte)
    }
  }
  for (let byte = 0; byte < 4; byte++) {
    const moves = new Int32Array(256)
    for (let index = 1; index < 256; index++) {
      // A move is the sum of those of the single bits.
      const rest = index & (index - 1)
      moves[index] = rest === 0 ? moved(index << (8 * byte)) : (moves[rest] ?? 0) ^ (moves[index ^ rest] ?? 0)
      view.setInt32(MOVES_AT + 4 * (256 * byte + index), moves[index] ?? 0, true)
    }
  }
}

/** Bytes of the module, nested as they were put together: to copy them at each step would take longer than to compile them. */
type Code = number | readonly Code[]

/** Locals by what they hold; after the parameters the numbers, then the vectors. */
const START = 0
const BLOCKS = 1
const CRC = 2
const AT = 3
const NUMBERS = 1
const REGISTER = 4
const LOW = REGISTER + 4
const HIGH = LOW + 4
const ROWS = HIGH + 4
const X = ROWS + 32
const VECTORS = X + 1 - REGISTER

const get = (local: number): Code => [0x20, unsigned(local)]
const set = (local: number, value: Code): Code => [value, 0x21, unsigned(local)]
const constant = (value: number): Code => [0x41, signed(value)]
const add = (a: Code, b: Code): Code => [a, b, 0x6a]
const subtract = (a: Code, b: Code): Code => [a, b, 0x6b]
const lessThan = (a: Code, b: Code): Code => [a, b, 0x49]
const and = (a: Code, b: Code): Code => [a, b, 0x71]
const xor = (a: Code, b: Code): Code => [a, b, 0x73]
const shiftLeft = (a: Code, bits: number): Code => [a, constant(bits), 0x74]
const shiftRight = (a: Code, bits: number): Code => [a, constant(bits), 0x76]
const loadNumber = (address: Code, offset: number): Code => [address, 0x28, 2, unsigned(offset)]
const loop = (body: Code, goesOn: Code): Code => [0x03, 0x40, body, goesOn, 0x0d, 0, 0x0b]

const vector = (operation: number, ...rest: readonly Code[]): Code => [0xfd, unsigned(operation), rest]
const loadVector = (address: Code, offset: number): Code => [address, vector(0x00, 0, unsigned(offset))]
const storeVector = (address: Code, offset: number, value: Code): Code => [
  address,
  value,
  vector(0x0b, 0, unsigned(offset)),
]
const zeros: Code = vector(0x0c, ...Array<number>(16).fill(0))
const shuffle = (a: Code, b: Code, lanes: Code): Code => [a, b, vector(0x0d, lanes)]
const lookUp = (table: Code, lanes: Code): Code => [table, lanes, vector(0x0e)]
const fill = (byte: number): Code => vector(0x0c, ...Array<number>(16).fill(byte))
const withFirstLane = (lanes: Code, value: Code): Code => [lanes, value, vector(0x17, 0)]
const andLanes = (a: Code, b: Code): Code => [a, b, vector(0x4e)]
const xorLanes = (a: Code, b: Code): Code => [a, b, vector(0x51)]
const shiftLanesRight = (a: Code, bits: number): Code => [a, constant(bits), vector(0x8d)]

/** Parts of `width` bytes from the first or second halves of two vectors, in turn. */
function interleaved(width: number, half: 0 | 1): readonly number[] {
  return Array.from({ length: 16 }, (_, lane) => {
    const part = Math.floor(lane / width)
    const from = 8 * half + Math.floor(part / 2) * width + (lane % width)
    return part % 2 === 0 ? from : 16 + from
  })
}

const BYTES = [interleaved(1, 0), interleaved(1, 1)] as const
const BYTE_PAIRS = [interleaved(2, 0), interleaved(2, 1)] as const

/** Sixteen rows of sixteen bytes: interleaving rows 0 and 8, 1 and 9 and so on four times swaps rows and columns. */
function transpose(): Code {
  const code: Code[] = []
  for (let round = 0; round < 4; round++) {
    const from = ROWS + 16 * (round % 2)
    const to = ROWS + 16 * ((round + 1) % 2)
    for (let row = 0; row < 8; row++) {
      const [a, b] = [get(from + row), get(from + row + 8)]
      code.push(set(to + 2 * row, shuffle(a, b, BYTES[0])), set(to + 2 * row + 1, shuffle(a, b, BYTES[1])))
    }
  }
  return code
}

/** The registers of all stretches after one more byte of each. */
function takeBytes(row: Code): Code {
  const low = andLanes(get(X), fill(15))
  const high = andLanes(shiftLanesRight(get(X), 4), fill(15))
  const found = (byte: number): Code => xorLanes(lookUp(get(LOW + byte), low), lookUp(get(HIGH + byte), high))
  return [
    set(X, xorLanes(row, get(REGISTER))),
    ...[0, 1, 2].map((byte) => set(REGISTER + byte, xorLanes(get(REGISTER + byte + 1), found(byte)))),
    set(REGISTER + 3, found(3)),
  ]
}

function updateBlock(): Code {
  const numbers = Array.from({ length: 16 }, (_, number) => number)
  const register = (byte: number): Code => get(REGISTER + byte)
  const sums = BYTES.flatMap((lanes) => {
    const low = shuffle(register(0), register(1), lanes)
    const high = shuffle(register(2), register(3), lanes)
    return BYTE_PAIRS.map((pairs) => shuffle(low, high, pairs))
  })
  const moved = (byte: number): Code => {
    const index = and(shiftRight(get(CRC), 8 * byte), constant(255))
    return loadNumber(shiftLeft(index, 2), MOVES_AT + 1024 * byte)
  }
  return [
    ...[0, 1, 2, 3].map((byte) => set(REGISTER + byte, withFirstLane(zeros, shiftRight(get(CRC), 8 * byte)))),
    set(AT, get(START)),
    loop(
      [
        ...numbers.map((stretch) => set(ROWS + stretch, loadVector(get(AT), STRETCH_BYTES * stretch))),
        transpose(),
        ...numbers.map((byte) => takeBytes(get(ROWS + byte))),
        set(AT, add(get(AT), constant(16))),
      ],
      lessThan(get(AT), add(get(START), constant(STRETCH_BYTES))),
    ),
    ...sums.map((sum, part) => storeVector(constant(0), SUMS_AT + 16 * part, sum)),
    set(CRC, loadNumber(constant(0), SUMS_AT)),
    ...numbers.slice(1).map((stretch) => {
      const sum = loadNumber(constant(0), SUMS_AT + 4 * stretch)
      return set(CRC, xor(xor(xor(moved(0), moved(1)), xor(moved(2), moved(3))), sum))
    }),
  ]
}

/** A module that exports `memory` and `update(start, blocks, before)`. */
function assemble(): Uint8Array {
  const tables = [0, 1, 2, 3].map((byte) => [
    set(LOW + byte, loadVector(constant(0), 16 * byte)),
    set(HIGH + byte, loadVector(constant(0), 64 + 16 * byte)),
  ])
  const blocks = loop(
    [
      updateBlock(),
      set(START, add(get(START), constant(BLOCK_BYTES))),
      set(BLOCKS, subtract(get(BLOCKS), constant(1))),
    ],
    get(BLOCKS),
  )
  const [I32, V128] = [0x7f, 0x7b]
  const locals = [2, NUMBERS, I32, unsigned(VECTORS), V128]
  const body = bytesOf([locals, tables, blocks, get(CRC), 0x0b])
  const sections = [
    section(1, [1, 0x60, 3, I32, I32, I32, 1, I32]),
    section(3, [1, 0]),
    section(5, [1, 0, MEMORY_PAGES]),
    section(7, [2, named('memory', 2), named('update', 0)]),
    section(10, [1, unsigned(body.length), body]),
  ]
  return Uint8Array.from(bytesOf([[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], sections]))
}

function section(id: number, content: Code): Code {
  const bytes = bytesOf(content)
  return [id, unsigned(bytes.length), bytes]
}

function bytesOf(code: Code, bytes: number[] = []): number[] {
  if (typeof code === 'number') bytes.push(code)
  else for (const part of code) bytesOf(part, bytes)
  return bytes
}

/** The first export of its kind: 0 are functions, 2 are memories. */
function named(name: string, kind: number): Code {
  return [name.length, ...Buffer.from(name), kind, 0]
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 128 ? [value] : [(value & 127) | 128, unsigned(value >>> 7)]
}

function signed(value: number): Code {
  const isLast = value >= -64 && value < 64
  return isLast ? [value & 127] : [(value & 127) | 128, signed(value >> 7)]
}
