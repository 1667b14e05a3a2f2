import { readFileSync } from 'node:fs'
import type { RecordHeader } from '../../src/record/record-batch.js'

/** A batch that Apache Kafka's own classes wrote, with what was put in. */
export interface GoldenBatch {
  baseOffset: number
  producerId: number
  producerEpoch: number
  baseSequence: number
  records: GoldenRecord[]
  bytes: Uint8Array
}

export interface GoldenRecord {
  timestamp: number
  key: Uint8Array | null
  value: Uint8Array | null
  headers: RecordHeader[]
}

const FIXTURES = new URL('../fixtures/record/', import.meta.url)

/**
 * The first batches of a log, and some of an idempotent producer. A line is
 * `baseOffset producerId epoch sequence timestamp,key,value,headers|... TAB batch`, all bytes in base64, `~` is null,
 * a header is `name=value;`.
 */
export function segmentHead(): GoldenBatch[] {
  return readFileSync(new URL('segment-head.tsv', FIXTURES), 'utf8').trim().split('\n').map(parseBatch)
}

/** Single batches by name. Rows that are no batch (snapshots, checkpoints) are left to those who read them. */
export function miscBatches(): Map<string, Uint8Array> {
  const rows = readFileSync(new URL('golden-misc.tsv', FIXTURES), 'utf8').trim().split('\n')
  const batches = new Map<string, Uint8Array>()
  for (const row of rows) {
    const [name = '', hex = ''] = row.split('\t')
    if (name === 'txnindex_two_entries') break
    batches.set(name, Uint8Array.from(Buffer.from(hex, 'hex')))
  }
  return batches
}

function parseBatch(line: string): GoldenBatch {
  const [inputs = '', bytes = ''] = line.split('\t')
  const [baseOffset, producerId, producerEpoch, baseSequence, records = ''] = inputs.split(' ')
  return {
    baseOffset: Number(baseOffset),
    producerId: Number(producerId),
    producerEpoch: Number(producerEpoch),
    baseSequence: Number(baseSequence),
    records: records.split('|').map(parseRecord),
    bytes: Uint8Array.from(Buffer.from(bytes, 'base64')),
  }
}

function parseRecord(text: string): GoldenRecord {
  const [timestamp, key = '', value = '', headers = ''] = text.split(',')
  return {
    timestamp: Number(timestamp),
    key: parseBytes(key),
    value: parseBytes(value),
    headers: headers
      .split(';')
      .filter((header) => header !== '')
      .map((header) => {
        const nameEnd = header.indexOf('=')
        return [header.slice(0, nameEnd), parseBytes(header.slice(nameEnd + 1))]
      }),
  }
}

function parseBytes(base64: string): Uint8Array | null {
  return base64 === '~' ? null : Uint8Array.from(Buffer.from(base64, 'base64'))
}
