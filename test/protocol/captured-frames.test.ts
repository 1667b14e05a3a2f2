import { describe, expect, it } from 'vitest'
import { APIS } from '../../src/protocol/apis.js'
import { decodeResponse, encodeRequest, encodeResponse, openRequest, readRequest } from '../../src/protocol/frames.js'
import { capturedExchanges } from './captured-frames.js'
import { interpretRead, present } from './definition-interpreter.js'
import { definitionOf, inRange } from './kafka-definitions.js'
import { OTHER_APIS } from './other-apis.js'

const exchanges = capturedExchanges()
const apis = new Map([...APIS, ...OTHER_APIS].map((api) => [api.key, api]))

/** The frame without its length, which must be right. */
function frameOf(pieces: Uint8Array[]): Buffer {
  const all = Buffer.concat(pieces)
  expect(all.readInt32BE()).toBe(all.length - 4)
  return all.subarray(4)
}

describe('frames of real clients', () => {
  it('are 268, of forty APIs', () => {
    expect(exchanges.length).toBe(268)
    expect(new Set(exchanges.map(({ api }) => api.key)).size).toBe(40)
  })

  it('are read, and written to the same bytes', () => {
    for (const { client, api, version, request, response } of exchanges) {
      const label = `${api.name} ${version} of ${client}`
      const incoming = openRequest(request, apis)
      expect(incoming.api, label).toBe(api)
      expect(incoming.header.apiVersion, label).toBe(version)
      const written = frameOf(encodeRequest(api, version, incoming.header, readRequest(api, incoming)))
      expect(written.toString('hex'), label).toBe(request.toString('hex'))

      const body = decodeResponse(api, version, response)
      const answered = frameOf(encodeResponse(api, version, response.readInt32BE(), body))
      expect(answered.toString('hex'), label).toBe(response.toString('hex'))
    }
  })

  it("are read as Kafka's definitions have it", () => {
    for (const { client, api, version, request, response } of exchanges) {
      const label = `${api.name} ${version} of ${client}`
      const incoming = openRequest(request, apis)
      const start = incoming.reader.position
      const ours = readRequest(api, incoming)
      const asked = definitionOf(`${api.name}Request`, version)
      const { message } = interpretRead(asked, version, request.subarray(start))
      expect(present(ours, asked.fields, version), label).toEqual(message)

      const answer = definitionOf(`${api.name}Response`, version)
      const headerBytes = inRange(version, answer.flexible) && api.name !== 'ApiVersions' ? 5 : 4
      const interpreted = interpretRead(answer, version, response.subarray(headerBytes))
      expect(present(decodeResponse(api, version, response), answer.fields, version), label).toEqual(
        interpreted.message,
      )
      expect(interpreted.end, label).toBe(response.length - headerBytes)
    }
  })
})
