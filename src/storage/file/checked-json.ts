import { crc32c } from '../../record/crc32c.js'

/** A small file of ours: a value as JSON behind its checksum, since one that lies would make the log lie. */
export function encodeChecked(value: unknown): Uint8Array {
  const content = JSON.stringify(value)
  return Buffer.from(`{"crc32c":${checksum(content)},"content":${content}}\n`)
}

/** Undefined where the bytes are not what `encodeChecked` made of something. */
export function decodeChecked(bytes: Uint8Array): unknown {
  const [, crc, content] = /^\{"crc32c":(\d+),"content":(.*)\}\n$/.exec(Buffer.from(bytes).toString()) ?? []
  if (content === undefined || Number(crc) !== checksum(content)) return undefined
  return JSON.parse(content)
}

function checksum(text: string): number {
  const bytes = Buffer.from(text)
  return crc32c(bytes, 0, bytes.length)
}
