import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { APIS } from '../../src/protocol/apis.js'
import { FrameReader } from '../../src/protocol/frame-reader.js'
import { FrameWriter } from '../../src/protocol/frame-writer.js'
import { requestCodec, responseCodec } from '../../src/protocol/message-codec.js'
import type { Api } from '../../src/protocol/message-table.js'
import { interpretRead, interpretWrite, present } from './definition-interpreter.js'
import { definitionOf } from './kafka-definitions.js'
import { OTHER_APIS } from './other-apis.js'
import { messagesOf } from './random-messages.js'

const RUNS = 12

describe.each([...APIS, ...OTHER_APIS])('random messages of $name', (api) => {
  it.each(versionsOf(api))("are written and read as Kafka's definition of version %i has it", (version) => {
    for (const kind of ['Request', 'Response'] as const) {
      const definition = definitionOf(api.name + kind, version)
      const codec = kind === 'Request' ? requestCodec(api, version) : responseCodec(api, version)
      fc.assert(
        fc.property(messagesOf(definition, version), (message) => {
          const expected = interpretWrite(definition, version, message)

          const writer = new FrameWriter()
          // Of a table that is picked at run time the types know nothing.
          codec.write(writer, message as never)
          const written = Buffer.concat(writer.pieces())
          expect(written.toString('hex')).toBe(expected.toString('hex'))

          const reader = new FrameReader(expected)
          const read = codec.read(reader)
          expect(reader.position).toBe(expected.length)
          expect(present(read, definition.fields, version)).toEqual(
            interpretRead(definition, version, expected).message,
          )

          // What is read can be written: the fields that this version lacks do no harm.
          const again = new FrameWriter()
          codec.write(again, read)
          expect(Buffer.concat(again.pieces()).equals(expected)).toBe(true)
        }),
        { numRuns: RUNS },
      )
    }
  })
})

function versionsOf({ versions: [lowest, highest] }: Api): number[] {
  return Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i)
}
