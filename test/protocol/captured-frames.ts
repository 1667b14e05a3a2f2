import { readFileSync } from 'node:fs'
import { APIS } from '../../src/protocol/apis.js'
import type { Api } from '../../src/protocol/message-table.js'
import { OTHER_APIS } from './other-apis.js'

/** What a real client sent to a broker, and the answer that it took; without the lengths before them. */
export interface CapturedExchange {
  client: string
  api: Api
  version: number
  request: Buffer
  response: Buffer
}

const FIXTURE = new URL('../fixtures/protocol/captured-frames.tsv', import.meta.url)

/** A line is `client TAB api TAB version TAB request TAB response`, the frames in base64. */
export function capturedExchanges(): CapturedExchange[] {
  const apis = new Map([...APIS, ...OTHER_APIS].map((api) => [api.name, api]))
  const lines = readFileSync(FIXTURE, 'utf8').trim().split('\n')
  return lines.map((line) => {
    const [client = '', name = '', version, request = '', response = ''] = line.split('\t')
    const api = apis.get(name)
    if (api === undefined) throw new Error(`no table for ${name}`)
    return {
      client,
      api,
      version: Number(version),
      request: Buffer.from(request, 'base64'),
      response: Buffer.from(response, 'base64'),
    }
  })
}
