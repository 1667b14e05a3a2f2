import { string, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../src/protocol/consumer-protocol.js'
import { deleteGroups } from '../../src/protocol/messages/delete-groups.js'
import { describeGroups } from '../../src/protocol/messages/describe-groups.js'
import { findCoordinator } from '../../src/protocol/messages/find-coordinator.js'
import { heartbeat } from '../../src/protocol/messages/heartbeat.js'
import { joinGroup } from '../../src/protocol/messages/join-group.js'
import { leaveGroup } from '../../src/protocol/messages/leave-group.js'
import { listGroups } from '../../src/protocol/messages/list-groups.js'
import { metadata } from '../../src/protocol/messages/metadata.js'
import { offsetCommit } from '../../src/protocol/messages/offset-commit.js'
import { offsetDelete } from '../../src/protocol/messages/offset-delete.js'
import { offsetFetch } from '../../src/protocol/messages/offset-fetch.js'
import { syncGroup } from '../../src/protocol/messages/sync-group.js'
import { doors } from './listeners.js'
import type { WireClient } from './wire-client.js'

const open = doors()
const jobs = new Topic('jobs', { partitions: 4, value: string() })

const subscription = encodeSubscription({
  topics: ['jobs'],
  userData: null,
  ownedPartitions: [],
  generationId: -1,
  rackId: null,
})
const joining = (memberId: string, assignor = 'range') => ({
  groupId: 'workers',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  memberId,
  protocolType: 'consumer',
  protocols: [{ name: assignor, metadata: subscription }],
})

/** Joins as a client of today does: it is told its id first. */
async function join(wire: WireClient, assignor?: string) {
  const told = await wire.request(joinGroup, 9, joining('', assignor))
  expect(told).toMatchObject({ errorCode: 79, memberId: expect.stringMatching(/^wire-test-/) })
  return wire.request(joinGroup, 9, joining(told.memberId, assignor))
}

describe('a group of wire clients', () => {
  it('has a leader that assigns, members that are told, offsets, and an end', async () => {
    const { broker, client } = await open()
    await broker.topic(jobs)
    const wire = await client()
    const joined = await join(wire)
    expect(joined).toMatchObject({ errorCode: 0, generationId: 1, protocolName: 'range', leader: joined.memberId })
    expect(joined.members.map(({ metadata: bytes }) => decodeSubscription(bytes).topics)).toEqual([['jobs']])
    const { memberId, generationId } = joined
    const assignment = encodeAssignment({ assigned: [{ topic: 'jobs', partitions: [0, 1, 2, 3] }], userData: null })
    const member = { groupId: 'workers', generationId, memberId }
    const synced = await wire.request(syncGroup, 5, {
      ...member,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: [{ memberId, assignment }],
    })
    expect(synced).toMatchObject({ errorCode: 0, protocolName: 'range' })
    expect(Buffer.from(synced.assignment)).toEqual(Buffer.from(assignment))
    expect((await wire.request(heartbeat, 4, member)).errorCode).toBe(0)
    expect((await wire.request(heartbeat, 0, { ...member, generationId: 7 })).errorCode).toBe(22)
    expect((await wire.request(heartbeat, 3, { ...member, memberId: 'nobody' })).errorCode).toBe(25)

    const partitions = [
      { partitionIndex: 0, committedOffset: 5, committedMetadata: 'note' },
      { partitionIndex: 9, committedOffset: 5, committedMetadata: null },
    ]
    const commit = {
      groupId: 'workers',
      generationIdOrMemberEpoch: generationId,
      memberId,
      topics: [{ name: 'jobs', partitions }],
    }
    for (const version of [1, 2, 5, 9]) {
      const { topics } = await wire.request(offsetCommit, version, commit)
      expect(topics[0]?.partitions.map(({ errorCode }) => errorCode)).toEqual([0, 3])
    }
    const fetched = [{ partitionIndex: 0, committedOffset: 5, metadata: 'note', errorCode: 0 }]
    const old = await wire.request(offsetFetch, 1, {
      groupId: 'workers',
      topics: [{ name: 'jobs', partitionIndexes: [0] }],
    })
    expect(old.topics).toMatchObject([{ name: 'jobs', partitions: fetched }])
    const now = await wire.request(offsetFetch, 9, { groups: [{ groupId: 'workers', topics: null }] })
    expect(now.groups).toMatchObject([
      { groupId: 'workers', errorCode: 0, topics: [{ name: 'jobs', partitions: fetched }] },
    ])
    const [topic] = (await wire.request(metadata, 12, { topics: [{ name: 'jobs' }] })).topics
    const topicId = topic?.topicId ?? ''
    const asked = [{ topicId, partitionIndexes: [0, 1] }]
    const byId = await wire.request(offsetFetch, 10, { groups: [{ groupId: 'workers', topics: asked }] })
    expect(byId.groups[0]?.topics[0]).toMatchObject({
      topicId,
      partitions: [{ committedOffset: 5 }, { committedOffset: -1 }],
    })

    const described = await wire.request(describeGroups, 6, { groups: ['workers', 'none'] })
    expect(described.groups).toMatchObject([
      {
        errorCode: 0,
        groupState: 'Stable',
        protocolData: 'range',
        members: [{ memberId, clientId: 'wire-test', clientHost: '/127.0.0.1' }],
      },
      { errorCode: 69, groupState: 'Dead' },
    ])
    expect((await wire.request(describeGroups, 5, { groups: ['none'] })).groups[0]).toMatchObject({
      errorCode: 0,
      groupState: 'Dead',
    })
    const listed = { groupId: 'workers', protocolType: 'consumer', groupState: 'Stable', groupType: 'classic' }
    expect((await wire.request(listGroups, 5, { statesFilter: ['stable'], typesFilter: ['Classic'] })).groups).toEqual([
      listed,
    ])
    expect((await wire.request(listGroups, 5, { statesFilter: ['Empty'] })).groups).toEqual([])

    const isInUse = await wire.request(deleteGroups, 2, { groupsNames: ['workers'] })
    expect(isInUse.results).toEqual([{ groupId: 'workers', errorCode: 68 }])
    expect(await wire.request(leaveGroup, 5, { groupId: 'workers', members: [{ memberId }] })).toMatchObject({
      errorCode: 0,
      members: [{ memberId, errorCode: 0 }],
    })
    expect(await wire.request(leaveGroup, 1, { groupId: 'workers', memberId })).toMatchObject({ errorCode: 25 })
    const deleted = await wire.request(deleteGroups, 2, { groupsNames: ['workers'] })
    expect(deleted.results).toEqual([{ groupId: 'workers', errorCode: 0 }])
  })

  it('takes members of the oldest version, which know no member id beforehand', async () => {
    const { client } = await open()
    const wire = await client()
    const joined = await wire.request(joinGroup, 0, joining(''))
    expect(joined).toMatchObject({ errorCode: 0, generationId: 1, leader: joined.memberId })
    expect(await wire.request(joinGroup, 0, joining('', 'other'))).toMatchObject({ errorCode: 23 })
    expect(await wire.request(joinGroup, 0, { ...joining(''), sessionTimeoutMs: 1 })).toMatchObject({ errorCode: 26 })
  })

  it('is coordinated here, and a transaction nowhere', async () => {
    const { client, listener } = await open()
    const wire = await client()
    expect(await wire.request(findCoordinator, 0, { key: 'g' })).toMatchObject({
      errorCode: 0,
      nodeId: 1,
      port: listener.port,
    })
    const several = await wire.request(findCoordinator, 6, { coordinatorKeys: ['a', 'b'] })
    expect(several.coordinators.map(({ key, errorCode }) => [key, errorCode])).toEqual([
      ['a', 0],
      ['b', 0],
    ])
    expect(await wire.request(findCoordinator, 2, { key: 't', keyType: 1 })).toMatchObject({ errorCode: 42 })
  })
})

it('forgets single offsets of a group, but not those that members go on from', async () => {
  const { broker, client } = await open()
  await broker.topic(jobs)
  await broker.topic(new Topic('other', { value: string() }))
  const wire = await client()
  const partitions = [{ partitionIndex: 0, committedOffset: 5, committedMetadata: null }]
  const topics = [
    { name: 'jobs', partitions },
    { name: 'other', partitions },
  ]
  await wire.request(offsetCommit, 8, { groupId: 'workers', generationIdOrMemberEpoch: -1, memberId: '', topics })
  const { memberId } = await join(wire)
  const asked = [{ partitionIndex: 0 }, { partitionIndex: 9 }]
  const named = [
    { name: 'jobs', partitions: asked },
    { name: 'other', partitions: asked },
  ]
  expect(await wire.request(offsetDelete, 0, { groupId: 'workers', topics: named })).toEqual({
    errorCode: 0,
    throttleTimeMs: 0,
    topics: [
      {
        name: 'jobs',
        partitions: [
          { partitionIndex: 0, errorCode: 86 },
          { partitionIndex: 9, errorCode: 3 },
        ],
      },
      {
        name: 'other',
        partitions: [
          { partitionIndex: 0, errorCode: 0 },
          { partitionIndex: 9, errorCode: 3 },
        ],
      },
    ],
  })
  const left = await wire.request(offsetFetch, 8, { groups: [{ groupId: 'workers', topics: null }] })
  expect(left.groups[0]?.topics).toMatchObject([{ name: 'jobs', partitions: [{ committedOffset: 5 }] }])
  await wire.request(leaveGroup, 5, { groupId: 'workers', members: [{ memberId }] })
  expect(await wire.request(offsetDelete, 0, { groupId: 'none', topics: named })).toMatchObject({
    errorCode: 69,
    topics: [],
  })
  expect(await wire.request(offsetDelete, 0, { groupId: '', topics: named })).toMatchObject({ errorCode: 24 })
})

describe('a group of which a member is in the process and another comes over the wire', () => {
  it('shares the partitions between them, and the one that stays gets all', async () => {
    const { broker, client } = await open()
    await broker.topic(jobs)
    const seen: string[] = []
    const inside = broker.consumerGroup('workers', { topics: [jobs], assignor: 'range' })
    await inside.run((message) => void seen.push(message.value))

    const wire = await client()
    const joined = await join(wire)
    expect(joined.errorCode).toBe(0)
    expect(joined.leader).not.toBe(joined.memberId)
    const { memberId, generationId } = joined
    const synced = await wire.request(syncGroup, 5, {
      groupId: 'workers',
      generationId,
      memberId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: [],
    })
    expect(synced.errorCode).toBe(0)
    expect(decodeAssignment(synced.assignment).assigned).toMatchObject([{ topic: 'jobs', partitions: { length: 2 } }])

    await wire.request(leaveGroup, 5, { groupId: 'workers', members: [{ memberId }] })
    await broker.producer().send(
      jobs,
      [0, 1, 2, 3].map((partition) => ({ partition, value: `to ${partition}` })),
    )
    await broker.idle()
    expect(seen.sort()).toEqual(['to 0', 'to 1', 'to 2', 'to 3'])
    await inside.close()
  })

  it('is not idle until the one on the wire has committed what it was given', async () => {
    const { broker, client } = await open()
    await broker.topic(jobs)
    const inside = broker.consumerGroup('workers', { topics: [jobs], assignor: 'range' })
    await inside.run(() => {})
    const wire = await client()
    const { memberId, generationId } = await join(wire)
    const asked = { groupId: 'workers', generationId, memberId, protocolType: 'consumer', protocolName: 'range' }
    const { assignment } = await wire.request(syncGroup, 5, { ...asked, assignments: [] })
    const given = decodeAssignment(assignment).assigned.flatMap(({ partitions }) => partitions)
    const messages = [0, 1, 2, 3].map((partition) => ({ partition, value: 'a job' }))
    await broker.producer().send(jobs, messages)

    const commit = (committedOffset: number, partitions: readonly number[]) =>
      wire.request(offsetCommit, 9, {
        groupId: 'workers',
        generationIdOrMemberEpoch: generationId,
        memberId,
        topics: [
          {
            name: 'jobs',
            partitions: partitions.map((partitionIndex) => ({
              partitionIndex,
              committedOffset,
              committedMetadata: '',
            })),
          },
        ],
      })
    await commit(1, given.slice(1))
    const left = `group workers: jobs-${given[0]} offset 0 is to be committed up to 1 by member ${memberId}`
    await expect(broker.idle({ signal: AbortSignal.abort() })).rejects.toThrow(left)
    const idle = broker.idle()
    await commit(1, given)
    await idle
    await inside.close()
  })
})
