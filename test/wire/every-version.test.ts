import { readFileSync } from 'node:fs'
import { Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { APIS } from '../../src/protocol/apis.js'
import type { Api } from '../../src/protocol/message-table.js'
import { apiVersions } from '../../src/protocol/messages/api-versions.js'
import { metadata } from '../../src/protocol/messages/metadata.js'
import { doors } from './listeners.js'

const open = doors()

/** The least that a request can say; where that is not enough, what makes it one. */
const REQUESTS: { readonly [name: string]: object } = {
  Produce: { acks: 1, timeoutMs: 0, topicData: [] },
  Fetch: { maxWaitMs: 0, minBytes: 0, topics: [] },
  ListOffsets: { replicaId: -1, topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp: -1 }] }] },
  Metadata: { topics: [{ name: 't' }] },
  OffsetCommit: { groupId: 'g', topics: [] },
  OffsetFetch: { groupId: 'g', topics: [], groups: [{ groupId: 'g', topics: [] }] },
  FindCoordinator: { key: 'g', coordinatorKeys: ['g'] },
  JoinGroup: { groupId: 'g', sessionTimeoutMs: 1, memberId: '', protocolType: 'consumer', protocols: [] },
  Heartbeat: { groupId: 'g', generationId: 1, memberId: 'm' },
  LeaveGroup: { groupId: 'g', memberId: 'm', members: [{ memberId: 'm' }] },
  SyncGroup: { groupId: 'g', generationId: 1, memberId: 'm', assignments: [] },
  DescribeGroups: { groups: ['g'] },
  ListGroups: {},
  SaslHandshake: { mechanism: 'PLAIN' },
  ApiVersions: { clientSoftwareName: 'odd name', clientSoftwareVersion: '' },
  CreateTopics: { topics: [{ name: 'u', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }] },
  DeleteTopics: { topics: [{ name: 'none' }], topicNames: ['none'], timeoutMs: 0 },
  DeleteRecords: { topics: [], timeoutMs: 0 },
  InitProducerId: { transactionalId: null, transactionTimeoutMs: 0 },
  OffsetForLeaderEpoch: { topics: [{ topic: 't', partitions: [{ partition: 0, leaderEpoch: 0 }] }] },
  DescribeConfigs: { resources: [{ resourceType: 2, resourceName: 't', configurationKeys: null }] },
  AlterConfigs: { resources: [], validateOnly: true },
  SaslAuthenticate: { authBytes: new Uint8Array(0) },
  CreatePartitions: { topics: [{ name: 't', count: 1, assignments: null }], timeoutMs: 0, validateOnly: true },
  DeleteGroups: { groupsNames: ['g'] },
  IncrementalAlterConfigs: { resources: [], validateOnly: true },
  OffsetDelete: { groupId: 'g', topics: [] },
  DescribeCluster: { includeClusterAuthorizedOperations: true },
  DescribeTopicPartitions: { topics: [{ name: 't' }] },
}

describe('the listener', () => {
  it('answers every version that it says it speaks', async () => {
    const { broker, client, lines } = await open()
    await broker.topic(new Topic('t'))
    const wire = await client()
    const { apiKeys } = await wire.request(apiVersions, 4, { clientSoftwareName: 'x', clientSoftwareVersion: '1' })
    let answers = 0
    for (const { apiKey, minVersion, maxVersion } of apiKeys) {
      const api = APIS.find(({ key }) => key === apiKey)
      if (api === undefined) throw new Error(`API ${apiKey} has no table`)
      expect([minVersion, maxVersion]).toEqual(api.versions)
      for (let version = minVersion; version <= maxVersion; version++) {
        const answer = await wire.request<Api>(api, version, (REQUESTS[api.name] ?? {}) as never)
        expect(answer, `${api.name} ${version}`).toBeTypeOf('object')
        answers++
      }
    }
    expect(answers).toBeGreaterThan(150)
    // So the page says.
    const page = readFileSync(new URL('../../docs/kafka-compatibility.md', import.meta.url), 'utf8')
    const rows = apiKeys.map(({ apiKey, minVersion: min, maxVersion: max }) => {
      const name = APIS.find(({ key }) => key === apiKey)?.name
      return `| ${apiKey} | ${name} | ${min === max ? min : `${min}-${max}`} |`
    })
    expect(page.match(/^\| \d+ \|.*$/gm)).toEqual(rows)
    expect(lines).toEqual([])
  })

  it('answers ApiVersions of a version of the future in version 0, with what it speaks', async () => {
    const { client } = await open()
    const wire = await client()
    wire.socket.write(Buffer.from('0000000a 0012 0063 00000009 ffff'.replace(/ /g, ''), 'hex'))
    const answer = await wire.answer(apiVersions, 4, 9)
    expect(answer.errorCode).toBe(35)
    expect(answer.apiKeys).toContainEqual({ apiKey: 18, minVersion: 0, maxVersion: 4 })
    // The client takes what it is told, on the same connection.
    expect((await wire.request(apiVersions, 0, {})).errorCode).toBe(0)
  })

  it('closes the connection for an API or a version that it does not speak, and says why', async () => {
    const { client, lines } = await open()
    for (const header of ['0047 0000', '0001 0003']) {
      const wire = await client()
      wire.socket.write(Buffer.from(`0000000a ${header} 00000009 ffff`.replace(/ /g, ''), 'hex'))
      await wire.closed
    }
    expect(lines).toEqual([
      expect.stringMatching(/^Connection of 127\.0\.0\.1:\d+ closed: API 71 of Kafka's protocol is not spoken here/),
      expect.stringMatching(/closed: Version 3 of Fetch is not spoken here, only 4 to 18/),
    ])
  })

  it('tells clients where it is, or where it is said to be', async () => {
    for (const [options, host] of [
      [{}, '127.0.0.1'],
      [{ host: '0.0.0.0' }, '127.0.0.1'],
      [{ advertised: { host: 'broker.example', port: 9 }, nodeId: 7 }, 'broker.example'],
    ] as const) {
      const { listener, client } = await open(options)
      const answer = await (await client()).request(metadata, 13, { topics: [] })
      const isAdvertised = host === 'broker.example'
      const port = isAdvertised ? 9 : listener.port
      expect(answer.brokers).toEqual([{ nodeId: isAdvertised ? 7 : 1, host, port, rack: null }])
      expect(listener.bootstrapServers).toBe(`127.0.0.1:${listener.port}`)
    }
  })
})
