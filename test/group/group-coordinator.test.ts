import { describe, expect, it } from 'vitest'
import { requiredMemberId } from '../../src/group/group-errors.js'
import { bytes, GROUP, outcome, outcomeNow, Rig, text } from './group-members.js'

const range = (metadata: string) => ({ name: 'range', metadata: bytes(metadata) })
const roundrobin = (metadata: string) => ({ name: 'roundrobin', metadata: bytes(metadata) })

describe('joining', () => {
  it('makes the first member the leader of generation 1, with no time passing', async () => {
    const rig = new Rig()
    const joined = await rig.member({ protocols: [range('orders')] }).join()
    expect(joined).toMatchObject({ generationId: 1, protocolType: 'consumer', protocolName: 'range' })
    expect(joined.leader).toBe(joined.memberId)
    expect(joined.memberId).toMatch(/^app-[A-Za-z0-9_-]{22}$/)
    expect(joined.members).toEqual([{ memberId: joined.memberId, instanceId: null, metadata: bytes('orders') }])
    expect(await rig.state()).toBe('CompletingRebalance')
  })

  it('of members that start in one turn takes one generation, and only the leader sees the members', async () => {
    const rig = new Rig()
    const [first, second] = await Promise.all([rig.member().join(), rig.member().join()])
    expect([first.generationId, second.generationId]).toEqual([1, 1])
    expect(second.leader).toBe(first.memberId)
    expect(first.members.map(({ memberId }) => memberId)).toEqual([first.memberId, second.memberId])
    expect(second.members).toEqual([])
  })

  it('gathers first members for the initial delay, and as long again after each newcomer', async () => {
    const rig = new Rig({ initialRebalanceDelayMs: 3_000 })
    const joins = [rig.member().join()]
    await rig.clock.advance(2_000)
    joins.push(rig.member().join())
    await rig.clock.advance(3_000)
    expect(await rig.state()).toBe('PreparingRebalance')
    await rig.clock.advance(1_000)
    expect((await Promise.all(joins)).map(({ generationId }) => generationId)).toEqual([1, 1])
  })

  it('gathers first members no longer than the rebalance timeout', async () => {
    const rig = new Rig({ initialRebalanceDelayMs: 3_000 })
    const joins: Promise<unknown>[] = []
    for (let step = 0; step < 4; step++) {
      joins.push(rig.member({ rebalanceTimeoutMs: 7_000 }).join())
      await rig.clock.advance(2_000)
    }
    expect(await rig.state()).toBe('CompletingRebalance')
    await Promise.all(joins)
  })

  it('a stable group begins a rebalance that ends when all members have rejoined', async () => {
    const rig = new Rig()
    const [leader, newcomer] = [rig.member(), rig.member()]
    await rig.stable(leader)
    const joined = newcomer.join()
    expect(await outcome(leader.heartbeat())).toBe('OTTLA_REBALANCE_IN_PROGRESS')
    expect(await outcomeNow(rig, joined)).toBe('pending')
    expect((await leader.join()).generationId).toBe(2)
    expect((await joined).generationId).toBe(2)
  })

  it('drops members that do not rejoin within the largest rebalance timeout', async () => {
    const rig = new Rig()
    const slow = rig.member({ rebalanceTimeoutMs: 8_000 })
    const leader = rig.member({ rebalanceTimeoutMs: 5_000 })
    await rig.stable(leader, slow)
    const rejoined = leader.join()
    await rig.clock.advance(7_999)
    expect(await rig.state()).toBe('PreparingRebalance')
    await rig.clock.advance(1)
    expect((await rejoined).members).toHaveLength(1)
    expect(await outcome(slow.heartbeat())).toBe('OTTLA_UNKNOWN_MEMBER_ID')
  })

  it('again as a follower that did not change gives the current generation', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    expect(await follower.join()).toMatchObject({ generationId: 1, members: [], leader: leader.memberId })
    expect(await rig.state()).toBe('Stable')
  })

  it('again as a follower that changed rebalances', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    follower.request = { ...follower.request, protocols: [range('v2')] }
    const rejoined = follower.join()
    expect(await outcome(leader.heartbeat())).toBe('OTTLA_REBALANCE_IN_PROGRESS')
    expect((await leader.join()).members.map(({ metadata }) => text(metadata))).toEqual(['v1', 'v2'])
    expect((await rejoined).generationId).toBe(2)
  })

  it('again as the leader of a stable group rebalances, and keeps the lead', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    const rejoined = leader.join()
    expect((await follower.join()).leader).toBe(leader.memberId)
    expect((await rejoined).generationId).toBe(2)
  })

  it('again while assignments are awaited gives the same answer once more', async () => {
    const rig = new Rig()
    const leader = rig.member()
    const joined = await leader.join()
    expect(await leader.join()).toEqual(joined)
  })

  it('again with other metadata while assignments are awaited sends those who sync back', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await Promise.all([leader.join(), follower.join()])
    const synced = outcome(follower.sync())
    leader.request = { ...leader.request, protocols: [range('v2')] }
    const rejoined = leader.join()
    expect(await synced).toBe('OTTLA_REBALANCE_IN_PROGRESS')
    await follower.join()
    expect((await rejoined).generationId).toBe(2)
  })

  it('twice at once answers the second call and sends the first away', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    const first = outcome(leader.join())
    const second = leader.join()
    expect(await first).toBe('OTTLA_REBALANCE_IN_PROGRESS')
    await follower.join()
    expect((await second).members).toHaveLength(2)
  })

  it('chooses the protocol by votes among those that all support', async () => {
    const rig = new Rig()
    const members = [
      rig.member({ protocols: [{ name: 'own', metadata: bytes('') }, roundrobin(''), range('a')] }),
      rig.member({ protocols: [range('b'), roundrobin('')] }),
      rig.member({ protocols: [range('c'), roundrobin('')] }),
    ]
    const [leader] = await Promise.all(members.map((member) => member.join()))
    expect(leader?.protocolName).toBe('range')
    expect(leader?.members.map(({ metadata }) => text(metadata))).toEqual(['a', 'b', 'c'])
  })

  it.each([
    ['another protocol type', { protocolType: 'connect' }],
    ['no protocol in common', { protocols: [roundrobin('')] }],
    ['no protocol', { protocols: [] }],
    ['no protocol type', { protocolType: '' }],
  ])('with %s is refused, and leaves the group as it was', async (_, overrides) => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    expect(await outcome(rig.member(overrides).join())).toBe('OTTLA_INCONSISTENT_GROUP_PROTOCOL')
    await leader.heartbeat()
  })

  it.each([
    ['an empty group id', { groupId: '' }, 'OTTLA_INVALID_GROUP_ID'],
    ['too short a session', { sessionTimeoutMs: 5_999 }, 'OTTLA_INVALID_SESSION_TIMEOUT'],
    ['too long a session', { sessionTimeoutMs: 1_800_001 }, 'OTTLA_INVALID_SESSION_TIMEOUT'],
    ['no number as session', { sessionTimeoutMs: Number.NaN }, 'OTTLA_INVALID_SESSION_TIMEOUT'],
    ['no protocol', { protocols: [] }, 'OTTLA_INCONSISTENT_GROUP_PROTOCOL'],
  ])('with %s is refused, and makes no group', async (_, overrides, code) => {
    const rig = new Rig()
    expect(await outcome(rig.member(overrides).join())).toBe(code)
    expect(await rig.coordinator.listGroups()).toEqual([])
  })

  it('with an id that the group does not know is refused', async () => {
    const rig = new Rig()
    const stranger = rig.member()
    stranger.memberId = 'app-1'
    expect(await outcome(stranger.join())).toBe('OTTLA_UNKNOWN_MEMBER_ID')
    await rig.stable(rig.member())
    expect(await outcome(stranger.join())).toBe('OTTLA_UNKNOWN_MEMBER_ID')
  })

  it('keeps no view of the memory that a request came in', async () => {
    const rig = new Rig()
    const metadata = bytes('orders')
    const member = rig.member({ protocols: [{ name: 'range', metadata }] })
    const joined = member.join()
    metadata.fill(0)
    expect(text((await joined).members[0]?.metadata ?? bytes(''))).toBe('orders')
  })

  it('is ended by an abort, which takes out a member that has no id yet', async () => {
    const rig = new Rig()
    const abort = new AbortController()
    const joined = rig.member().join(abort.signal)
    abort.abort(new Error('not wanted any more'))
    await expect(joined).rejects.toThrow('not wanted any more')
    await rig.clock.advance(0)
    expect(await rig.describe()).toMatchObject({ state: 'Empty', members: [] })
    expect(rig.clock.pendingTimers).toBe(0)
    await expect(rig.member().join(AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late')
  })

  it('that is aborted while others are awaited lets them go on without it', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    const abort = new AbortController()
    const joined = rig.member().join(abort.signal)
    const rejoined = [leader.join()]
    await rig.clock.advance(0)
    abort.abort(new Error('not wanted any more'))
    await expect(joined).rejects.toThrow('not wanted any more')
    rejoined.push(follower.join())
    const [result] = await Promise.all(rejoined)
    expect(result?.members).toHaveLength(2)
  })
})

describe('a member that must have an id first', () => {
  it('is given one, and joins with it', async () => {
    const rig = new Rig()
    const member = rig.member({ requireMemberId: true })
    const error: unknown = await member.join().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'OTTLA_MEMBER_ID_REQUIRED', kafkaCode: 79 })
    expect(await rig.describe()).toMatchObject({ state: 'Empty', members: [] })
    member.memberId = requiredMemberId(error) ?? ''
    expect(await member.join()).toMatchObject({ memberId: requiredMemberId(error), generationId: 1 })
  })

  it('is waited for by a rebalance, for as long as its session', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member({ sessionTimeoutMs: 30_000 }), rig.member({ sessionTimeoutMs: 30_000 })]
    await rig.stable(leader, follower)
    expect(await outcome(rig.member({ requireMemberId: true }).join())).toBe('OTTLA_MEMBER_ID_REQUIRED')
    const rejoined = [leader.join(), follower.join()]
    await rig.clock.advance(9_999)
    expect(await rig.state()).toBe('PreparingRebalance')
    await rig.clock.advance(1)
    await Promise.all(rejoined)
  })

  it('may leave before it joined', async () => {
    const rig = new Rig()
    const member = rig.member({ requireMemberId: true })
    member.memberId = requiredMemberId(await member.join().catch((reason: unknown) => reason)) ?? ''
    expect(await member.leave()).toBeNull()
    expect(await outcome(member.join())).toBe('OTTLA_UNKNOWN_MEMBER_ID')
    expect(rig.clock.pendingTimers).toBe(0)
  })
})

describe('syncing', () => {
  it('gives each member what the leader assigned, also to one that asks after the leader', async () => {
    const rig = new Rig()
    const [leader, early, late] = [rig.member(), rig.member(), rig.member()]
    await Promise.all([leader.join(), early.join(), late.join()])
    const waiting = early.sync()
    expect(await outcomeNow(rig, waiting)).toBe('pending')
    expect(text((await leader.sync([leader, early, late])).assignment)).toBe('work 0')
    expect(text((await waiting).assignment)).toBe('work 1')
    expect(text((await late.sync()).assignment)).toBe('work 2')
    expect(await rig.state()).toBe('Stable')
  })

  it('gives no bytes to a member that the leader left out, whatever it had before', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    await Promise.all([leader.join(), follower.join()])
    await leader.sync([leader])
    expect((await follower.sync()).assignment).toHaveLength(0)
  })

  it('forgets the assignments of a generation that was never assigned', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    await Promise.all([leader.join(), follower.join()])
    await follower.leave()
    expect(await rig.describe()).toMatchObject({ state: 'PreparingRebalance', members: [{ assignment: bytes('') }] })
  })

  it('refuses a stale generation, a stranger and another protocol', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await leader.join()
    leader.protocolName = 'roundrobin'
    expect(await outcome(leader.sync())).toBe('OTTLA_INCONSISTENT_GROUP_PROTOCOL')
    leader.protocolName = null
    leader.generationId = 0
    expect(await outcome(leader.sync())).toBe('OTTLA_ILLEGAL_GENERATION')
    leader.memberId = 'app-1'
    expect(await outcome(leader.sync())).toBe('OTTLA_UNKNOWN_MEMBER_ID')
  })

  it('during a rebalance sends the member back to join', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    void outcome(rig.member().join())
    expect(await outcome(leader.sync())).toBe('OTTLA_REBALANCE_IN_PROGRESS')
  })

  it('is due within the rebalance timeout: who does not is removed, and the others rebalance', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member({ rebalanceTimeoutMs: 8_000 }), rig.member({ rebalanceTimeoutMs: 8_000 })]
    await Promise.all([leader.join(), follower.join()])
    const waiting = outcome(follower.sync())
    await rig.clock.advance(8_000)
    expect(await waiting).toBe('OTTLA_REBALANCE_IN_PROGRESS')
    expect(await outcome(leader.heartbeat())).toBe('OTTLA_UNKNOWN_MEMBER_ID')
    expect(await follower.join()).toMatchObject({ generationId: 2, leader: follower.memberId })
  })

  it('is ended by an abort', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await Promise.all([leader.join(), follower.join()])
    const abort = new AbortController()
    const waiting = follower.sync([], abort.signal)
    await rig.clock.advance(0)
    abort.abort(new Error('not wanted any more'))
    await expect(waiting).rejects.toThrow('not wanted any more')
    await leader.sync([leader, follower])
    expect(text((await follower.sync()).assignment)).toBe('work 1')
  })
})

describe('a heartbeat', () => {
  it('is answered at once as Kafka does', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await leader.join()
    await leader.heartbeat()
    await leader.sync([leader])
    await leader.heartbeat()
    expect(await outcome(rig.coordinator.heartbeat({ ...leader.identity, generationId: 7 }))).toBe(
      'OTTLA_ILLEGAL_GENERATION',
    )
    for (const stranger of [{ memberId: 'app-1' }, { instanceId: 'one' }, { groupId: 'other' }]) {
      const beat = rig.coordinator.heartbeat({ ...leader.identity, ...stranger })
      expect(await outcome(beat)).toBe('OTTLA_UNKNOWN_MEMBER_ID')
    }
    void outcome(rig.member().join())
    expect(await outcome(leader.heartbeat())).toBe('OTTLA_REBALANCE_IN_PROGRESS')
  })

  it('that waits stays pending while all is well and rejects when a rebalance begins', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await leader.join()
    const waiting = leader.waitingHeartbeat()
    await leader.sync([leader])
    await rig.clock.advance(3_600_000)
    expect(await outcomeNow(rig, waiting)).toBe('pending')
    void outcome(rig.member().join())
    expect(await outcome(waiting)).toBe('OTTLA_REBALANCE_IN_PROGRESS')
  })

  it('that waits rejects when the member is removed', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    const waiting = outcome(leader.waitingHeartbeat())
    await leader.leave()
    expect(await waiting).toBe('OTTLA_UNKNOWN_MEMBER_ID')
  })

  it('that waits resolves on an abort, and the session runs from there', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    const abort = new AbortController()
    const waiting = leader.waitingHeartbeat(abort.signal)
    await rig.clock.advance(25_000)
    abort.abort()
    await waiting
    await leader.waitingHeartbeat(abort.signal)
    await rig.clock.advance(9_999)
    expect(await rig.state()).toBe('Stable')
    await rig.clock.advance(1)
    expect(await rig.state()).toBe('Empty')
  })
})

describe('a session', () => {
  it('ends without a sign of life, and the others rebalance', async () => {
    const rig = new Rig()
    const [leader, other] = [rig.member(), rig.member({ sessionTimeoutMs: Number.POSITIVE_INFINITY })]
    await rig.stable(leader, other)
    const waiting = outcome(other.waitingHeartbeat())
    await rig.clock.advance(9_999)
    expect(await rig.state()).toBe('Stable')
    await rig.clock.advance(1)
    expect(await waiting).toBe('OTTLA_REBALANCE_IN_PROGRESS')
    expect(await outcome(leader.heartbeat())).toBe('OTTLA_UNKNOWN_MEMBER_ID')
    expect(await other.join()).toMatchObject({ generationId: 2, leader: other.memberId })
  })

  it('goes on by heartbeats, commits and syncs', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    for (const alive of [() => leader.heartbeat(), () => leader.commit(), () => leader.sync()]) {
      await rig.clock.advance(9_000)
      await alive()
    }
    await rig.clock.advance(9_999)
    expect(await rig.state()).toBe('Stable')
  })

  it('does not end while the member waits for others', async () => {
    const rig = new Rig()
    const [leader, other] = [rig.member(), rig.member({ sessionTimeoutMs: 50_000 })]
    await rig.stable(leader, other)
    const rejoined = leader.join()
    await rig.clock.advance(40_000)
    const otherJoined = other.join()
    expect((await rejoined).members).toHaveLength(2)
    await otherJoined
  })

  it('that ends late reads what is waiting first', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    const advanced = rig.clock.advance(10_000)
    while (rig.clock.monotonic() < 10_000) await rig.clock.nextTurn()
    // The session's timer has fired; the heartbeat that the blocked loop could not read comes only now.
    await leader.heartbeat()
    await advanced
    expect(await rig.state()).toBe('Stable')
  })

  it('of a member in this process never ends, and sets no timer', async () => {
    const rig = new Rig()
    const endless = { sessionTimeoutMs: Number.POSITIVE_INFINITY, rebalanceTimeoutMs: Number.POSITIVE_INFINITY }
    await rig.stable(rig.member(endless), rig.member(endless))
    expect(rig.clock.pendingTimers).toBe(0)
    await rig.clock.advance(86_400_000)
    expect(await rig.describe()).toMatchObject({ state: 'Stable', members: [{}, {}] })
  })

  it('of a new member that never hears its answer ends after five minutes', async () => {
    const rig = new Rig()
    const [leader, endless] = [rig.member(), rig.member({ sessionTimeoutMs: Number.POSITIVE_INFINITY })]
    const long = { rebalanceTimeoutMs: 900_000 }
    endless.request = { ...endless.request, ...long }
    leader.request = { ...leader.request, sessionTimeoutMs: 900_000, ...long }
    await rig.stable(leader, endless)
    const lost = outcome(rig.member(long).join())
    await rig.clock.advance(299_999)
    expect((await rig.describe()).members).toHaveLength(3)
    await rig.clock.advance(1)
    expect(await lost).toBe('OTTLA_UNKNOWN_MEMBER_ID')
    expect((await rig.describe()).members).toHaveLength(2)
  })
})

describe('leaving', () => {
  it('as the leader passes the lead on', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    expect(await leader.leave()).toBeNull()
    expect(await follower.join()).toMatchObject({ generationId: 2, leader: follower.memberId })
  })

  it('as the last one empties the group, which keeps counting its generations', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    await leader.leave()
    expect(await rig.describe()).toMatchObject({ state: 'Empty', protocolType: 'consumer', members: [], error: null })
    expect(rig.clock.pendingTimers).toBe(0)
    expect((await rig.member().join()).generationId).toBe(3)
  })

  it('while others wait to join lets them go on', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await rig.stable(leader, follower)
    const rejoined = leader.join()
    await rig.clock.advance(0)
    await follower.leave()
    expect((await rejoined).members).toHaveLength(1)
  })

  it('answers for each member', async () => {
    const rig = new Rig()
    const [one, two] = [rig.member({ instanceId: 'one' }), rig.member({ instanceId: 'two' })]
    await rig.stable(one, two)
    const members = [
      { memberId: 'app-1', instanceId: null },
      { memberId: '', instanceId: 'two' },
      { memberId: '', instanceId: 'none' },
      { memberId: two.memberId, instanceId: 'one' },
    ]
    const left = await rig.coordinator.leaveGroup({ groupId: GROUP, members })
    expect(left.map(({ error }) => error?.code ?? null)).toEqual([
      'OTTLA_UNKNOWN_MEMBER_ID',
      null,
      'OTTLA_UNKNOWN_MEMBER_ID',
      'OTTLA_FENCED_INSTANCE_ID',
    ])
    expect(await outcome(one.heartbeat())).toBe('OTTLA_REBALANCE_IN_PROGRESS')
    const others = await rig.coordinator.leaveGroup({ groupId: 'other', members })
    expect(others.every(({ error }) => error?.kafkaCode === 25)).toBe(true)
  })
})

describe('a static member', () => {
  it('comes back to a stable group under a new id without a rebalance, and fences the old one', async () => {
    const rig = new Rig()
    const [leader, before, after] = [rig.member(), rig.member({ instanceId: 'two' }), rig.member({ instanceId: 'two' })]
    await rig.stable(leader, before)
    const waiting = outcome(before.waitingHeartbeat())
    expect(await after.join()).toMatchObject({ generationId: 1, leader: leader.memberId, skipAssignment: false })
    expect(after.memberId).not.toBe(before.memberId)
    expect(text((await after.sync()).assignment)).toBe('work 1')
    await leader.heartbeat()
    expect(await waiting).toBe('OTTLA_FENCED_INSTANCE_ID')
    expect(await outcome(before.heartbeat())).toBe('OTTLA_FENCED_INSTANCE_ID')
    expect(await before.commit()).toBe('OTTLA_FENCED_INSTANCE_ID')
    expect(await outcome(before.join())).toBe('OTTLA_FENCED_INSTANCE_ID')
  })

  it('that leads and comes back is told to skip the assignment', async () => {
    const rig = new Rig()
    const leader = rig.member({ instanceId: 'one' })
    await rig.stable(leader, rig.member())
    const after = rig.member({ instanceId: 'one' })
    const joined = await after.join()
    expect(joined).toMatchObject({ skipAssignment: true, leader: after.memberId })
    expect(joined.members).toHaveLength(2)
  })

  it('that leads, comes back and does not understand that takes itself for a follower', async () => {
    const rig = new Rig()
    const leader = rig.member({ instanceId: 'one' })
    await rig.stable(leader)
    const after = rig.member({ instanceId: 'one', supportSkippingAssignment: false })
    expect(await after.join()).toMatchObject({ skipAssignment: false, leader: leader.memberId, members: [] })
  })

  it('that changes which protocol is chosen rebalances', async () => {
    const rig = new Rig()
    const both = { protocols: [range(''), roundrobin('')] }
    const leader = rig.member(both)
    await rig.stable(leader, rig.member({ ...both, instanceId: 'two' }))
    const joined = rig.member({ instanceId: 'two', protocols: [roundrobin('')] }).join()
    expect((await leader.join()).protocolName).toBe('roundrobin')
    expect((await joined).generationId).toBe(2)
  })

  it('that comes back while the leader assigns rebalances', async () => {
    const rig = new Rig()
    const [leader, before] = [rig.member(), rig.member({ instanceId: 'two' })]
    await Promise.all([leader.join(), before.join()])
    const synced = outcome(before.sync())
    const joined = rig.member({ instanceId: 'two' }).join()
    expect(await synced).toBe('OTTLA_FENCED_INSTANCE_ID')
    expect((await leader.join()).generationId).toBe(2)
    await joined
  })

  it('keeps its place through a rebalance that it misses, until its session ends', async () => {
    const rig = new Rig()
    const leader = rig.member({ rebalanceTimeoutMs: 8_000, sessionTimeoutMs: 60_000 })
    const away = rig.member({ rebalanceTimeoutMs: 8_000, sessionTimeoutMs: 60_000, instanceId: 'two' })
    await rig.stable(leader, away)
    const rejoined = leader.join()
    await rig.clock.advance(8_000)
    expect((await rejoined).members.map(({ instanceId }) => instanceId)).toEqual([null, 'two'])
  })
})

describe('committing', () => {
  it('is for members of the current generation', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    expect(await leader.commit(5)).toBeNull()
    leader.generationId = 0
    expect(await leader.commit(6)).toBe('OTTLA_ILLEGAL_GENERATION')
    leader.memberId = 'app-1'
    expect(await leader.commit(6)).toBe('OTTLA_UNKNOWN_MEMBER_ID')
    const orders = await rig.coordinator.fetchOffsets({ groupId: GROUP, partitions: null })
    expect(orders.map(({ offset }) => offset)).toEqual([5])
  })

  it('is allowed while members are gathered, and not while assignments are awaited', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    const joined = rig.member().join()
    expect(await leader.commit(5)).toBeNull()
    await Promise.all([leader.join(), joined])
    expect(await leader.commit(6)).toBe('OTTLA_REBALANCE_IN_PROGRESS')
  })

  it('without membership is for groups without members', async () => {
    const rig = new Rig()
    const nobody = rig.member()
    expect(await nobody.commit(3)).toBeNull()
    expect(await rig.describe()).toMatchObject({ state: 'Empty', protocolType: '', error: null })
    await rig.stable(rig.member())
    expect(await nobody.commit(4)).toBe('OTTLA_UNKNOWN_MEMBER_ID')
  })

  it('with a generation needs a group, and a member of it', async () => {
    const rig = new Rig()
    const stranger = rig.member()
    stranger.generationId = 1
    expect(await stranger.commit()).toBe('OTTLA_GROUP_NOT_FOUND')
    await rig.member().commit()
    expect(await stranger.commit()).toBe('OTTLA_UNKNOWN_MEMBER_ID')
  })

  it('refuses what is too large or no offset, and commits the rest', async () => {
    const rig = new Rig()
    const offsets = [
      { topic: 'orders', partition: 0, offset: 1, metadata: 'm'.repeat(4097) },
      { topic: 'orders', partition: 1, offset: 2, metadata: 'm'.repeat(4096) },
      { topic: 'orders', partition: 2, offset: 1.5, metadata: null },
    ]
    const committed = await rig.coordinator.commitOffsets({ ...rig.member().identity, offsets })
    expect(committed.map(({ error }) => error?.code ?? null)).toEqual([
      'OTTLA_OFFSET_METADATA_TOO_LARGE',
      null,
      'OTTLA_INVALID_ARGUMENT',
    ])
    expect(await rig.coordinator.fetchOffsets({ groupId: GROUP, partitions: null })).toHaveLength(1)
  })
})

describe('groups from outside', () => {
  it('are described with protocol and metadata once stable, and with the assignments given', async () => {
    const rig = new Rig()
    const leader = rig.member({ instanceId: 'one' })
    await rig.stable(leader)
    const member = { memberId: leader.memberId, instanceId: 'one', clientId: 'app', clientHost: '/127.0.0.1' }
    const stable = { ...member, metadata: bytes('v1'), assignment: bytes('work 0') }
    expect(await rig.describe()).toEqual({
      groupId: GROUP,
      state: 'Stable',
      protocolType: 'consumer',
      protocolName: 'range',
      members: [stable],
      error: null,
    })
    await leader.join()
    const between = { ...stable, metadata: bytes('') }
    expect(await rig.describe()).toMatchObject({ state: 'CompletingRebalance', protocolName: '', members: [between] })
  })

  it('are Dead and not found where there are none', async () => {
    const [description] = await new Rig().coordinator.describeGroups(['other'])
    expect(description).toMatchObject({ state: 'Dead', members: [], error: { code: 'OTTLA_GROUP_NOT_FOUND' } })
  })

  it('are listed by state, with those that have only committed', async () => {
    const rig = new Rig()
    await rig.stable(rig.member())
    const offsets = [{ topic: 'orders', partition: 0, offset: 1, metadata: null }]
    await rig.coordinator.commitOffsets({ ...rig.member().identity, groupId: 'simple', offsets })
    const stable = { groupId: GROUP, protocolType: 'consumer', state: 'Stable' }
    const simple = { groupId: 'simple', protocolType: '', state: 'Empty' }
    expect(await rig.coordinator.listGroups()).toEqual([stable, simple])
    expect(await rig.coordinator.listGroups({ states: ['empty'] })).toEqual([simple])
    expect(await rig.coordinator.listGroups({ states: ['Stable'] })).toEqual([stable])
  })

  it('are deleted with their offsets when they are empty', async () => {
    const rig = new Rig()
    const leader = rig.member()
    await rig.stable(leader)
    await leader.commit(5)
    const codes = async (): Promise<(string | null)[]> =>
      (await rig.coordinator.deleteGroups([GROUP, 'other'])).map(({ error }) => error?.code ?? null)
    expect(await codes()).toEqual(['OTTLA_GROUP_NOT_EMPTY', 'OTTLA_GROUP_NOT_FOUND'])
    await leader.leave()
    expect(await codes()).toEqual([null, 'OTTLA_GROUP_NOT_FOUND'])
    expect(await rig.coordinator.fetchOffsets({ groupId: GROUP, partitions: null })).toEqual([])
    expect(await rig.state()).toBe('Dead')
    expect((await rig.member().join()).generationId).toBe(1)
  })

  it('are forgotten ten minutes after the last member left, unless they have committed', async () => {
    const rig = new Rig()
    for (const offset of [null, 5]) {
      const member = rig.member({ groupId: offset === null ? 'idle' : GROUP })
      await member.join()
      if (offset !== null) {
        await member.sync([member])
        await member.commit(offset)
      }
      await rig.coordinator.leaveGroup({ groupId: member.request.groupId, members: [member.identity] })
    }
    const listed = async (): Promise<string[]> => (await rig.coordinator.listGroups()).map(({ groupId }) => groupId)
    await rig.clock.advance(9 * 60_000)
    expect(await listed()).toEqual(['idle', GROUP])
    await rig.clock.advance(2 * 60_000)
    expect(await listed()).toEqual([GROUP])
    const [described] = await rig.coordinator.describeGroups(['idle'])
    expect(described?.error?.code).toBe('OTTLA_GROUP_NOT_FOUND')
    expect(rig.clock.pendingTimers).toBe(0)
  })

  it('come back with their offsets when the log is replayed', async () => {
    const rig = new Rig()
    await rig.member().commit(5)
    const reopened = new Rig()
    for (const { key, value } of rig.log.records) reopened.coordinator.replay(key, value)
    expect(await reopened.coordinator.fetchOffsets({ groupId: GROUP, partitions: null })).toMatchObject([{ offset: 5 }])
    expect(await reopened.state()).toBe('Empty')
  })
})

describe('closing', () => {
  it('rejects all that waits, leaves no timer, and refuses what comes later', async () => {
    const rig = new Rig()
    const [leader, follower] = [rig.member(), rig.member()]
    await Promise.all([leader.join(), follower.join()])
    const other = rig.member({ groupId: 'other' })
    const waits = [outcome(follower.sync()), outcome(leader.waitingHeartbeat()), outcome(other.join())]
    void outcome(rig.member({ requireMemberId: true }).join())
    rig.coordinator.close()
    rig.coordinator.close()
    expect(await Promise.all(waits)).toEqual(['OTTLA_CLOSED', 'OTTLA_CLOSED', 'OTTLA_CLOSED'])
    expect(rig.clock.pendingTimers).toBe(0)
    expect(await outcome(leader.heartbeat())).toBe('OTTLA_CLOSED')
    expect(await outcome(leader.join())).toBe('OTTLA_CLOSED')
    expect(await outcome(rig.coordinator.listGroups())).toBe('OTTLA_CLOSED')
    await rig.clock.advance(600_000)
  })
})
