import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'

const READ_BYTES = 2 ** 20

/** Lines of JSON in a file: a batch is one write, and reading is by large pieces that are split into lines. @param {string} path */
export function openNdjson(path) {
  const fd = openSync(path, 'w+')
  return {
    /** @param {readonly unknown[]} objects */
    append(objects) {
      let lines = ''
      for (const object of objects) lines += `${JSON.stringify(object)}\n`
      writeSync(fd, lines)
    },
    /** @param {(object: any) => void} onObject */
    readAll(onObject) {
      const piece = Buffer.allocUnsafe(READ_BYTES)
      const decoder = new StringDecoder('utf8')
      let rest = ''
      for (let position = 0; ; ) {
        const filled = readSync(fd, piece, 0, READ_BYTES, position)
        if (filled === 0) break
        position += filled
        const lines = (rest + decoder.write(piece.subarray(0, filled))).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) onObject(JSON.parse(line))
      }
    },
    close: () => closeSync(fd),
  }
}
