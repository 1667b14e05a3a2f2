import { checksumContenders, checksumRow } from './peers/checksum-contenders.mjs'

const SIZES = { '16 KiB, JavaScript alone': 16 * 1024, '1 MiB, JavaScript alone': 1024 * 1024 }

export const workload = {
  name: 'crc32c-javascript',
  title: 'CRC-32C in a process without WebAssembly, against a loop over the bytes with one table',
  settings: [
    '32 MiB in pieces of the size, again and again the same one; both must give the same checksum',
    'ours: as in a process that has no WebAssembly, or has checksummed less than 2 MiB',
  ],
  rows: Object.keys(SIZES).map((size) => checksumRow(size, { floor: 3, goal: 4 })),
  repetitions: 7,
  warmups: 2,
  async open() {
    Reflect.deleteProperty(globalThis, 'WebAssembly')
    return { contenders: checksumContenders(SIZES), async close() {} }
  },
}
