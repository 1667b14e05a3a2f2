/** What is read for the byte 0xc1, which MessagePack never uses, and written as that byte again. */
export const C1: object = Object.freeze(Object.create(null))

// The types of extensions: MessagePack's own, and those of the library msgpackr, which reads what is written here.
export const UNDEFINED = 0
export const TIMESTAMP = 0xff
export const BIG_INTEGER = 0x42
export const SET = 0x73
export const MEMORY = 0x74

/** The first byte of MEMORY says what it is: a place in this list, or one of the two below. */
export const TYPED_ARRAYS: readonly (new (memory: ArrayBuffer) => ArrayBufferView)[] = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
]
export const ARRAY_BUFFER = 16
export const DATA_VIEW = 17
