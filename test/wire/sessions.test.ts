import { string, Topic } from 'ottla'
import { ManualClock } from 'ottla/testing'
import { describe, expect, it } from 'vitest'
import { encodeSubscription } from '../../src/protocol/consumer-protocol.js'
import { describeGroups } from '../../src/protocol/messages/describe-groups.js'
import { heartbeat } from '../../src/protocol/messages/heartbeat.js'
import { joinGroup } from '../../src/protocol/messages/join-group.js'
import { syncGroup } from '../../src/protocol/messages/sync-group.js'
import { doors } from './listeners.js'
import type { WireClient } from './wire-client.js'

const open = doors()
const jobs = new Topic('jobs', { partitions: 4, value: string() })
const metadata = encodeSubscription({
  topics: ['jobs'],
  userData: null,
  ownedPartitions: [],
  generationId: -1,
  rackId: null,
})

/** Joins as the only member, and has its assignment. */
async function member(wire: WireClient, sessionTimeoutMs: number) {
  const { memberId, generationId } = await wire.request(joinGroup, 0, {
    groupId: 'g',
    sessionTimeoutMs,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata }],
  })
  const asker = { groupId: 'g', generationId, memberId }
  await wire.request(syncGroup, 0, { ...asker, assignments: [{ memberId, assignment: new Uint8Array() }] })
  return asker
}

async function membersOf(wire: WireClient): Promise<number | undefined> {
  return (await wire.request(describeGroups, 0, { groups: ['g'] })).groups[0]?.members.length
}

describe('the session of a member that came over the wire', () => {
  it('ends when nothing is heard of it for as long, and the others get what it had', async () => {
    const clock = new ManualClock()
    const { broker, client } = await open({}, { clock })
    await broker.topic(jobs)
    const [wire, other] = [await client(), await client()]
    const asker = await member(wire, 10_000)
    for (let i = 0; i < 3; i++) {
      await clock.advance(9_000)
      expect((await wire.request(heartbeat, 0, asker)).errorCode).toBe(0)
    }
    const seen: string[] = []
    const inside = broker.consumerGroup('g', { topics: [jobs], assignor: 'range' })
    const running = inside.run((message) => void seen.push(message.value))
    await clock.advance(11_000)
    await running
    expect((await wire.request(heartbeat, 0, asker)).errorCode).toBe(25)
    expect(await membersOf(other)).toBe(1)
    await broker.producer().send(
      jobs,
      [0, 1, 2, 3].map((partition) => ({ partition, value: `to ${partition}` })),
    )
    await broker.idle()
    expect(seen.sort()).toEqual(['to 0', 'to 1', 'to 2', 'to 3'])
    await inside.close()
  })

  it('goes on when its heartbeat lay in the socket while the event loop was blocked', async () => {
    const SESSION_MS = 40
    const { broker, client } = await open({}, { config: { groupMinSessionTimeoutMs: 1 } })
    await broker.topic(jobs)
    const wire = await client()
    const asker = await member(wire, SESSION_MS)
    const sent = wire.send(heartbeat, 0, asker)
    const blockedFrom = performance.now()
    while (performance.now() - blockedFrom < 3 * SESSION_MS);
    expect((await wire.answer(heartbeat, 0, sent)).errorCode).toBe(0)
    expect(await membersOf(wire)).toBe(1)
  })

  it('ends after a blocked loop too where nothing lay in the socket', async () => {
    const SESSION_MS = 40
    const { broker, client } = await open({}, { config: { groupMinSessionTimeoutMs: 1 } })
    await broker.topic(jobs)
    const [wire, other] = [await client(), await client()]
    const asker = await member(wire, SESSION_MS)
    const blockedFrom = performance.now()
    while (performance.now() - blockedFrom < 3 * SESSION_MS);
    // An answer to another is a round trip later than what lay in the sockets.
    while ((await membersOf(other)) === 1);
    expect((await wire.request(heartbeat, 0, asker)).errorCode).toBe(25)
  })
})
