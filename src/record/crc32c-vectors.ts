/**
 * Adds to each word of memory[target, end) what is folded at the distances before the place that corresponds to it: the
 * largest distance before the first such place lies `farthest`. All are multiples of 4.
 */
export type AddFolded = (target: number, farthest: number, end: number) => void

/**
 * `addFolded` for the `distances`, in vectors of 16 bytes and two at a time, and the memory it works in. Undefined where
 * there is no WebAssembly, none with vectors, or no address space for the memory.
 *
 * The module is assembled here: its bytes would tell nobody anything.
 */
export function addByVectors(
  distances: readonly number[],
  stepBytes: number,
  memoryBytes: number,
): { readonly memory: ArrayBuffer; readonly addFolded: AddFolded } | undefined {
  const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyNamespace }
  if (WebAssembly === undefined) return undefined
  const bytes = assemble(distances, stepBytes, Math.ceil(memoryBytes / PAGE_BYTES))
  if (!WebAssembly.validate(bytes)) return undefined
  try {
    const { memory, addFolded } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports
    return { memory: memory.buffer, addFolded }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

const PAGE_BYTES = 65_536
const VECTOR_BYTES = 16

/** The types of ES2022 have no WebAssembly. */
interface WebAssemblyNamespace {
  validate(bytes: Uint8Array): boolean
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: { readonly memory: { readonly buffer: ArrayBuffer }; readonly addFolded: AddFolded }
  }
}

/** Bytes of the module, nested as they are put together. */
type Code = number | readonly Code[]

const [TARGET, FARTHEST, END] = [0, 1, 2] as const

const get = (local: number): Code => [0x20, local]
const increase = (local: number, by: number): Code => [get(local), 0x41, by, 0x6a, 0x21, local]
const lessThan = (a: Code, b: Code): Code => [a, b, 0x49]
const loop = (body: Code, goesOn: Code): Code => [0x03, 0x40, body, goesOn, 0x0d, 0, 0x0b]
const vector = (operation: number, ...rest: readonly Code[]): Code => [0xfd, operation, rest]
const load = (address: Code, offset: number): Code => [address, vector(0x00, 0, unsigned(offset))]
const store = (address: Code, offset: number, value: Code): Code => [address, value, vector(0x0b, 0, unsigned(offset))]
const xor = (a: Code, b: Code): Code => [a, b, vector(0x51)]

/** A module that exports `memory` and `addFolded`. */
function assemble(distances: readonly number[], stepBytes: number, memoryPages: number): Uint8Array {
  const farthest = Math.max(...distances)
  const sum = (at: number): Code =>
    distances.reduce<Code>(
      (added, distance) => xor(added, load(get(FARTHEST), at + farthest - distance)),
      load(get(TARGET), at),
    )
  const step: Code[] = []
  for (let at = 0; at < stepBytes; at += VECTOR_BYTES) step.push(store(get(TARGET), at, sum(at)))
  const round = [step, increase(TARGET, stepBytes), increase(FARTHEST, stepBytes)]
  const body = bytesOf([0, loop(round, lessThan(get(TARGET), get(END))), 0x0b])
  const I32 = 0x7f
  const sections = [
    section(1, [1, 0x60, 3, I32, I32, I32, 0]),
    section(3, [1, 0]),
    section(5, [1, 0, memoryPages]),
    section(7, [2, named('memory', 2), named('addFolded', 0)]),
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
