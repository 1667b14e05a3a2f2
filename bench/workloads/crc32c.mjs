import { checksumContenders, checksumRow } from './peers/checksum-contenders.mjs'

const SIZES = { '100 B': 100, '2047 B': 2047, '16 KiB': 16 * 1024, '1 MiB': 1024 * 1024 }

export const workload = {
  name: 'crc32c',
  title: 'CRC-32C, against a loop over the bytes with one table',
  settings: [
    '32 MiB in pieces of the size, again and again the same one; both must give the same checksum',
    'ours: below 2 KiB JavaScript alone, from there on all but the last bytes by the vectors of WebAssembly',
  ],
  rows: [
    checksumRow('100 B'),
    checksumRow('2047 B'),
    checksumRow('16 KiB', { floor: 4.5, goal: 5.8 }),
    checksumRow('1 MiB', { floor: 4.5, goal: 5.8 }),
  ],
  repetitions: 7,
  warmups: 2,
  async open() {
    return { contenders: checksumContenders(SIZES), async close() {} }
  },
}
