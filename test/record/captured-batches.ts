import { decodeResponse, openRequest, readRequest } from '../../src/protocol/frames.js'
import { fetch } from '../../src/protocol/messages/fetch.js'
import { produce } from '../../src/protocol/messages/produce.js'
import { EncodedBatch, peekBatchSize } from '../../src/record/encoded-batch.js'
import { capturedExchanges } from '../protocol/captured-frames.js'

/** The batches that real clients sent, or took from a broker. */
export function capturedBatches(): { client: string; batch: EncodedBatch }[] {
  const apis = new Map([[produce.key, produce]])
  return capturedExchanges().flatMap(({ client, api, version, request, response }) => {
    const records: (Uint8Array | null)[] = []
    if (api === produce) {
      const body = readRequest(produce, openRequest(request, apis))
      for (const topic of body.topicData) for (const partition of topic.partitionData) records.push(partition.records)
    }
    if (api === fetch) {
      const body = decodeResponse(fetch, version, response)
      for (const topic of body.responses) for (const partition of topic.partitions) records.push(partition.records)
    }
    return records.flatMap((bytes) => (bytes === null ? [] : split(bytes).map((batch) => ({ client, batch }))))
  })
}

/** A fetch may end in a part of a batch. */
function split(bytes: Uint8Array): EncodedBatch[] {
  const batches: EncodedBatch[] = []
  let position = 0
  for (;;) {
    const size = peekBatchSize(bytes, position, bytes.length)
    if (size === undefined) return batches
    batches.push(new EncodedBatch(bytes, position, size))
    position += size
  }
}
