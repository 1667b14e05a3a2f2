import { crc32c } from '../../.cache/modules/crc32c.js'
import { makePayloads } from '../../harness/payloads.mjs'
import { crc32cByBytes } from './crc32c-by-bytes.mjs'

const BYTES = 32 * 1024 * 1024

/** Ours and the loop over bytes for each of the sizes, by its name. Both must give the same checksum. */
export function checksumContenders(sizes) {
  const contenders = {}
  for (const [size, bytes] of Object.entries(sizes)) {
    const [piece] = makePayloads(1, bytes)
    const expected = crc32cByBytes(piece, 0, bytes)
    const time = (checksum) => () => {
      const rounds = Math.ceil(BYTES / bytes)
      let differing = 0
      const startedAt = performance.now()
      for (let round = 0; round < rounds; round++) if (checksum(piece, 0, bytes) !== expected) differing++
      const seconds = (performance.now() - startedAt) / 1000
      if (differing > 0) throw new Error(`${differing} checksums of ${size} are wrong`)
      return { work: rounds * bytes, seconds }
    }
    contenders[`ours ${size}`] = time(crc32c)
    contenders[`byte table ${size}`] = time(crc32cByBytes)
  }
  return contenders
}

export const checksumRow = (size, more) => ({
  id: '8',
  label: `CRC-32C of ${size}`,
  ours: `ours ${size}`,
  peer: `byte table ${size}`,
  better: 'higher',
  unit: 'B/s',
  ...more,
})
