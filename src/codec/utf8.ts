import { OttlaError } from '../errors.js'

/** Strict, and keeps a byte order mark, which a TextDecoder drops unless told not to. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

// Node 20 has it; the types of ES2022 do not.
const wellFormed: (this: string) => boolean = Reflect.get(String.prototype, 'isWellFormed')

/** False where half of a surrogate pair stands alone: UTF-8 has no bytes for it. */
export function isWellFormed(text: string): boolean {
  return wellFormed.call(text)
}

/** True for a string with a byte order mark in front, which some decoders drop. */
export function beginsWithMark(text: string): boolean {
  return text.charCodeAt(0) === 0xfeff
}

export function decodeUtf8(bytes: Uint8Array, codecName: string): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new OttlaError(
      'OTTLA_DECODE',
      `${codecName}() decodes UTF-8, and these ${bytes.byteLength} bytes are not. Read them with the codec they were sent with, or with bytes().`,
      { cause },
    )
  }
}
