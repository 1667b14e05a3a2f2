import { crc32c } from '../.cache/modules/crc32c.js'
import { makePayloads } from '../harness/payloads.mjs'
import { crc32cByBytes } from './peers/crc32c-by-bytes.mjs'

const SIZES = { '100 B': 100, '4095 B': 4095, '16 KiB': 16 * 1024, '1 MiB': 1024 * 1024 }
const BYTES = 32 * 1024 * 1024

const row = (size, more) => ({
  id: '8',
  label: `CRC-32C of ${size}`,
  ours: `ours ${size}`,
  peer: `byte table ${size}`,
  better: 'higher',
  unit: 'B/s',
  ...more,
})

export const workload = {
  name: 'crc32c',
  title: 'CRC-32C, against a loop over the bytes with one table',
  settings: [
    '32 MiB in pieces of the size, again and again the same one; both must give the same checksum',
    'ours: below 4 KiB JavaScript alone, from there on by the vectors of WebAssembly',
  ],
  rows: [
    row('100 B'),
    row('4095 B', { floor: 3, goal: 4 }),
    row('16 KiB', { floor: 4.5, goal: 5.8 }),
    row('1 MiB', { floor: 4.5, goal: 5.8 }),
  ],
  repetitions: 7,
  warmups: 2,
  async open() {
    const contenders = {}
    for (const [size, bytes] of Object.entries(SIZES)) {
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
    return { contenders, async close() {} }
  },
}
