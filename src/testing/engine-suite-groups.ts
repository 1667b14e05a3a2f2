import { reasonOf } from '../reason-of.js'
import type { EngineTest } from './engine-under-test.js'
import { check, checkEqual } from './expect.js'
import { decode, GroupUnderTest, leaderFirst, NOBODY, protocolOf, protocols } from './group-under-test.js'
import { checkKafkaError, checkKafkaRefusal, checkNoError } from './kafka-error.js'
import { checkPending, promptly } from './patience.js'

const membershipTests: Record<string, EngineTest> = {
  'the first member leads the first generation and assigns': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.join({ protocols: protocols('range', 'roundrobin') })
    checkEqual(member.generationId, 1, 'The first generation')
    checkEqual(member.leader, member.memberId, 'The leader')
    checkEqual(member.protocolType, 'consumer', 'The protocol type')
    checkEqual(member.protocolName, 'range', 'The protocol')
    checkEqual(member.skipAssignment, false, 'Whether the leader must not assign')
    checkEqual(member.members.map(({ memberId }) => memberId).join(), member.memberId, 'The list of members')
    checkEqual(protocolOf(member.members[0]?.metadata), 'range', 'The metadata')
    checkEqual(await group.sync(member, { [member.memberId]: 'all' }), 'all', 'The assignment')
    await group.heartbeat(member)
  },

  'a second member begins a second generation, and the leader alone is told who is in it': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const alone = await group.single()
    const members = await group.joinBeside(alone)
    const [leader, follower] = leaderFirst(members)
    for (const { generationId } of members) checkEqual(generationId, 2, 'The second generation')
    checkEqual(leader.memberId, alone.memberId, 'The leader, who rejoined,')
    const ids = members.map(({ memberId }) => memberId)
    const told = leader.members.map(({ memberId }) => memberId)
    checkEqual(told.sort().join(), ids.sort().join(), 'The list of members that the leader is told')
    checkEqual(follower.members.length, 0, 'The number of members that a follower is told')
  },

  'a follower waits for its assignment until the leader gives it': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const [leader, follower] = leaderFirst(await group.joinBeside(await group.single()))
    const waiting = group.syncing(follower)
    await checkPending(waiting, 'The sync of a follower before that of the leader')
    const mine = await group.sync(leader, { [leader.memberId]: 'one', [follower.memberId]: 'two' })
    checkEqual(mine, 'one', 'The assignment of the leader')
    const theirs = await promptly(waiting, 'The sync of the follower')
    checkEqual(decode(theirs.assignment), 'two', 'The assignment of the follower')
    checkEqual(await group.sync(follower), 'two', 'The assignment, asked for again')
    for (const member of [leader, follower]) await group.heartbeat(member)
  },

  'a member that the leader leaves out has an assignment of no bytes': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const [leader, follower] = leaderFirst(await group.joinBeside(await group.single()))
    await group.sync(leader, { [leader.memberId]: 'all' })
    checkEqual(await group.sync(follower), '', 'The assignment of a member that was left out')
  },

  'a rebalance is heard of by the next heartbeat': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.single()
    for (let beat = 0; beat < 3; beat++) await group.heartbeat(member)
    await group.joinBeside(member)
  },

  'a heartbeat that waits is answered by a rebalance': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.single()
    const waiting = group.heartbeat(member, { wait: true })
    await checkPending(waiting, 'A heartbeat with nothing to do')
    const joining = group.joining()
    const heartbeat = (): Promise<void> => promptly(waiting, 'A heartbeat after a join')
    await checkKafkaRefusal('REBALANCE_IN_PROGRESS', heartbeat, 'A heartbeat that waited')
    await group.join({ memberId: member.memberId })
    await promptly(joining, 'The join of the second member')
  },

  'an abort ends the wait of a heartbeat': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.single()
    const abort = new AbortController()
    const waiting = group.heartbeat(member, { wait: true, signal: abort.signal })
    await checkPending(waiting, 'A heartbeat with nothing to do')
    abort.abort()
    await promptly(waiting, 'A heartbeat that was aborted')
    await group.heartbeat(member)
  },

  'an abort ends the wait of a join, and that of a sync': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.single()
    const abort = new AbortController()
    const joining = group.joining({}, { signal: abort.signal })
    await group.rebalancing(member)
    abort.abort(new Error('enough'))
    await checkAborted(joining, 'A join')

    const other = new GroupUnderTest(engine)
    const [, follower] = leaderFirst(await other.joinBeside(await other.single()))
    const abortSync = new AbortController()
    const syncing = other.syncing(follower, {}, { signal: abortSync.signal })
    await checkPending(syncing, 'The sync of a follower before that of the leader')
    abortSync.abort(new Error('enough'))
    await checkAborted(syncing, 'A sync')
  },

  'a member that leaves makes the others share again': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const [first, second] = await group.joinBeside(await group.single())
    const [leader, follower] = leaderFirst([first, second])
    await group.sync(leader, { [leader.memberId]: 'one', [follower.memberId]: 'two' })
    checkEqual((await group.leave(leader))[0], null, 'The error of a member that leaves')
    await group.rebalancing(follower)
    const alone = await group.join({ memberId: follower.memberId })
    checkEqual(alone.generationId, 3, 'The third generation')
    checkEqual(alone.leader, follower.memberId, 'The leader, once the leader left,')
    checkEqual(alone.members.length, 1, 'The number of members')
    await checkKafkaRefusal('UNKNOWN_MEMBER_ID', () => group.heartbeat(leader), 'The heartbeat of one that left')
    checkKafkaError((await group.leave(leader))[0], 'UNKNOWN_MEMBER_ID', 'Leaving again')
  },

  'a member that does not rejoin in time is left out': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const slow = await group.single({ rebalanceTimeoutMs: 200 })
    const quick = await group.join({ rebalanceTimeoutMs: 200 })
    checkEqual(quick.generationId, 2, 'The second generation')
    checkEqual(quick.members.length, 1, 'The number of members')
    await checkKafkaRefusal('UNKNOWN_MEMBER_ID', () => group.heartbeat(slow), 'The heartbeat of one left out')
  },

  'a leader that rejoins begins a new generation, a follower that is unchanged does not': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const [leader, follower] = leaderFirst(await group.joinBeside(await group.single()))
    await group.sync(leader, { [leader.memberId]: 'one', [follower.memberId]: 'two' })
    checkEqual(await group.sync(follower), 'two', 'The assignment of the follower')
    const unchanged = await group.join({ memberId: follower.memberId })
    checkEqual(unchanged.generationId, 2, 'The generation of a follower that rejoins unchanged')
    const rejoining = group.joining({ memberId: leader.memberId })
    await group.rebalancing(follower)
    const third = await group.join({ memberId: follower.memberId })
    checkEqual(third.generationId, 3, 'The generation after the leader rejoined')
    await promptly(rejoining, 'The join of the leader')
  },
}

const rejoinTests: Record<string, EngineTest> = {
  'a member that rejoins with something new to tell begins a new generation': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const [leader, follower] = leaderFirst(await group.joinBeside(await group.single()))
    await group.sync(leader, { [leader.memberId]: 'one', [follower.memberId]: 'two' })
    await group.sync(follower)
    const changed = { memberId: follower.memberId, protocols: protocols('range', 'roundrobin') }
    const rejoining = group.joining(changed)
    await group.rebalancing(leader)
    const third = await group.join({ memberId: leader.memberId })
    checkEqual(third.generationId, 3, 'The generation after a member told something new')
    await promptly(rejoining, 'The join of the member')
  },

  'a member that joins again before the assignments gets the same answer': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const [leader, follower] = leaderFirst(await group.joinBeside(await group.single()))
    const again = [
      await group.join({ memberId: follower.memberId }),
      await group.join({ memberId: leader.memberId }),
    ] as const
    checkEqual(again.map(({ generationId }) => generationId).join(), '2,2', 'The list of generations')
    checkEqual(again.map(({ members }) => members.length).join(), '0,2', 'The list of how many members each is told')
    for (const member of [leader, follower]) await group.heartbeat(member)
  },

  'members leave together, and each is answered': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const members = await group.joinBeside(await group.single())
    const errors = await group.leave(members[0], { memberId: 'nobody' }, members[1])
    checkEqual(errors[0] ?? errors[2], null, 'The error of members that leave')
    checkKafkaError(errors[1], 'UNKNOWN_MEMBER_ID', 'Leaving without having joined')
    checkEqual((await group.describe()).state, 'Empty', 'The state after all members left')
  },
}

const protocolTests: Record<string, EngineTest> = {
  'the protocol that all members support is chosen': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const first = await group.single({ protocols: protocols('sticky', 'range') })
    const joining = group.joining({ protocols: protocols('roundrobin', 'range') })
    await group.rebalancing(first)
    const again = group.joining({ memberId: first.memberId, protocols: protocols('sticky', 'range') })
    const joined = await promptly(Promise.all([again, joining]), 'The join of both')
    for (const { protocolName } of joined) checkEqual(protocolName, 'range', 'The protocol')
    const [leader] = leaderFirst(joined)
    for (const { metadata } of leader.members) checkEqual(protocolOf(metadata), 'range', 'The metadata')
  },

  'a member without a protocol in common with the others is refused': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.single({ protocols: protocols('range') })
    for (const [what, request] of [
      ['A member with other protocols', { protocols: protocols('roundrobin') }],
      ['A member without protocols', { protocols: [] }],
      ['A member of another protocol type', { protocolType: 'connect' }],
      ['A member without a protocol type', { protocolType: '' }],
    ] as const) {
      await checkKafkaRefusal('INCONSISTENT_GROUP_PROTOCOL', () => group.join(request), what)
    }
    await group.heartbeat(member)
    const empty = new GroupUnderTest(engine)
    const none = (): Promise<unknown> => empty.join({ protocols: [] })
    await checkKafkaRefusal('INCONSISTENT_GROUP_PROTOCOL', none, 'The first member without protocols')
  },

  'a sync by another protocol than the group’s is refused': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.join()
    const sync = (): Promise<unknown> => group.sync({ ...member, protocolName: 'roundrobin' })
    await checkKafkaRefusal('INCONSISTENT_GROUP_PROTOCOL', sync, 'A sync by another protocol')
    await group.sync(member, { [member.memberId]: 'all' })
  },
}

const fencingTests: Record<string, EngineTest> = {
  'a member of the generation before is fenced': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const before = await group.single()
    const [leader, follower] = leaderFirst(await group.joinBeside(before))
    await group.sync(leader, { [leader.memberId]: 'one', [follower.memberId]: 'two' })
    await checkKafkaRefusal('ILLEGAL_GENERATION', () => group.heartbeat(before), 'A heartbeat of the generation before')
    await checkKafkaRefusal('ILLEGAL_GENERATION', () => group.sync(before), 'A sync of the generation before')
    const ahead = { ...leader, generationId: 3 }
    await checkKafkaRefusal('ILLEGAL_GENERATION', () => group.heartbeat(ahead), 'A heartbeat of a generation to come')
    await group.heartbeat(leader)
  },

  'a member id that the group does not know is refused': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const unknown = { memberId: 'nobody', generationId: 1 }
    for (const state of ['does not exist', 'has another member']) {
      const what = `in a group that ${state}`
      const { memberId } = unknown
      await checkKafkaRefusal('UNKNOWN_MEMBER_ID', () => group.join({ memberId }), `A join ${what}`)
      await checkKafkaRefusal('UNKNOWN_MEMBER_ID', () => group.sync(unknown), `A sync ${what}`)
      await checkKafkaRefusal('UNKNOWN_MEMBER_ID', () => group.heartbeat(unknown), `A heartbeat ${what}`)
      checkKafkaError((await group.leave(unknown))[0], 'UNKNOWN_MEMBER_ID', `Leaving ${what}`)
      if (state === 'does not exist') await group.single()
    }
  },

  'a sync while members are gathered is refused': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.single()
    const joining = group.joining()
    await group.rebalancing(member)
    await checkKafkaRefusal('REBALANCE_IN_PROGRESS', () => group.sync(member), 'A sync while members are gathered')
    await group.join({ memberId: member.memberId })
    await promptly(joining, 'The join of the second member')
  },

  'a sync that waits is answered when a rebalance begins': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const [leader, follower] = leaderFirst(await group.joinBeside(await group.single()))
    const waiting = group.syncing(follower)
    await checkPending(waiting, 'The sync of a follower before that of the leader')
    const left = group.leave(leader)
    const sync = (): Promise<unknown> => promptly(waiting, 'The sync of the follower')
    await checkKafkaRefusal('REBALANCE_IN_PROGRESS', sync, 'A sync that waited')
    await left
    await group.join({ memberId: follower.memberId })
  },

  'an id is given first to a member that asks for one': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const ask = (): Promise<unknown> => group.join({ requireMemberId: true })
    const error = await checkKafkaRefusal('MEMBER_ID_REQUIRED', ask, 'A join that asks for an id')
    const memberId = 'memberId' in error && typeof error.memberId === 'string' ? error.memberId : ''
    check(memberId !== '', 'The error that gives a member its id carries none.')
    const member = await group.join({ memberId, requireMemberId: true })
    checkEqual(member.memberId, memberId, 'The member id')
    checkEqual(member.members.length, 1, 'The number of members')
  },

  'a static member that comes back keeps its assignment and fences its old id': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const instanceId = 'instance'
    const before = { ...(await group.single({ instanceId })), instanceId }
    const after = { ...(await group.join({ instanceId })), instanceId }
    check(after.memberId !== before.memberId, 'A static member that comes back has its old member id.')
    checkEqual(after.generationId, before.generationId, 'The generation')
    checkEqual(await group.sync(after), 'all', 'The assignment')
    await checkKafkaRefusal('FENCED_INSTANCE_ID', () => group.heartbeat(before), 'A heartbeat of the old id')
    await checkKafkaRefusal('FENCED_INSTANCE_ID', () => group.sync(before), 'A sync of the old id')
    const rejoin = (): Promise<unknown> => group.join({ instanceId, memberId: before.memberId })
    await checkKafkaRefusal('FENCED_INSTANCE_ID', rejoin, 'A join of the old id')
    checkEqual((await group.leave({ memberId: '', instanceId }))[0], null, 'The error of leaving by the instance id')
    checkEqual((await group.describe()).state, 'Empty', 'The state after the only member left')
  },

  'a group id that is empty is refused': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const asker = { groupId: '', memberId: 'nobody', generationId: 1, instanceId: null }
    await checkKafkaRefusal('INVALID_GROUP_ID', () => group.join({ groupId: '' }), 'A join')
    const sync = (): Promise<unknown> =>
      engine.syncGroup({ ...asker, protocolType: null, protocolName: null, assignments: [] })
    await checkKafkaRefusal('INVALID_GROUP_ID', sync, 'A sync')
    await checkKafkaRefusal('INVALID_GROUP_ID', () => engine.heartbeat(asker), 'A heartbeat')
    await checkKafkaRefusal('INVALID_GROUP_ID', () => engine.leaveGroup({ groupId: '', members: [] }), 'Leaving')
  },

  'a session time-out outside the broker’s limits is refused': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    for (const sessionTimeoutMs of [1, 0, -1, 2 ** 31 - 1]) {
      const join = (): Promise<unknown> => group.join({ sessionTimeoutMs })
      await checkKafkaRefusal('INVALID_SESSION_TIMEOUT', join, `A session time-out of ${sessionTimeoutMs}`)
    }
  },
}

const descriptionTests: Record<string, EngineTest> = {
  'a group is described in each of its states': async (subject) => {
    const group = new GroupUnderTest(subject.engine)
    const dead = await group.describe()
    checkKafkaError(dead.error, 'GROUP_ID_NOT_FOUND', 'Describing a group that does not exist')
    checkEqual(dead.state, 'Dead', 'The state of a group that does not exist')
    checkEqual(dead.members.length, 0, 'The number of members of a group that does not exist')

    const member = await group.join()
    checkEqual((await group.describe()).state, 'CompletingRebalance', 'The state before the leader assigned')
    await group.sync(member, { [member.memberId]: 'all' })
    const stable = await group.describe()
    checkNoError(stable.error, 'Describing a group')
    checkEqual(stable.state, 'Stable', 'The state once the leader assigned')
    checkEqual(stable.protocolType, 'consumer', 'The protocol type')
    checkEqual(stable.protocolName, 'range', 'The protocol')
    const [described] = stable.members
    checkEqual(described?.memberId, member.memberId, 'The member')
    checkEqual(described?.instanceId, null, 'The instance id')
    check(described?.clientId !== undefined && described.clientId !== '', 'The client id is empty.')
    checkEqual(protocolOf(described.metadata), 'range', 'The metadata')
    checkEqual(decode(described.assignment), 'all', 'The assignment')

    const joining = group.joining()
    await group.rebalancing(member)
    const preparing = await group.describe()
    checkEqual(preparing.state, 'PreparingRebalance', 'The state while members are gathered')
    checkEqual(preparing.protocolName, '', 'The protocol while members are gathered')
    await group.leave(member)
    await group.leave(await promptly(joining, 'The join of the second member'))
    const empty = await group.describe()
    checkEqual(empty.state, 'Empty', 'The state without members')
    checkEqual(empty.members.length, 0, 'The number of members')
    checkNoError(empty.error, 'Describing an empty group')
  },

  'groups are listed with their states': async (subject) => {
    const { engine } = subject
    const [stable, simple] = [new GroupUnderTest(engine), new GroupUnderTest(engine)]
    await stable.single()
    await simple.commit(NOBODY, await subject.topic(), 1)
    const listed = await engine.listGroups()
    const listing = (group: GroupUnderTest): string => {
      const found = listed.find(({ groupId }) => groupId === group.groupId)
      return `${found?.state} ${found?.protocolType}`
    }
    checkEqual(listing(stable), 'Stable consumer', 'The listing of a group with a member')
    checkEqual(listing(simple), 'Empty ', 'The listing of a group that only committed')
    checkEqual(listing(new GroupUnderTest(engine)), 'undefined undefined', 'The listing of a group that is not there')
  },

  'a group with members cannot be deleted, an empty one can': async (subject) => {
    const { engine } = subject
    const [busy, simple] = [new GroupUnderTest(engine), new GroupUnderTest(engine)]
    const [left, absent] = [new GroupUnderTest(engine), new GroupUnderTest(engine)]
    const topic = await subject.topic()
    const member = await busy.single()
    await busy.commit(member, topic, 5)
    await simple.commit(NOBODY, topic, 5)
    await left.leave(await left.single())
    const groups = [busy, simple, left, absent]
    const outcomes = await engine.deleteGroups(groups.map(({ groupId }) => groupId))
    const errors = groups.map(({ groupId }) => outcomes.find((outcome) => outcome.groupId === groupId)?.error)
    checkKafkaError(errors[0], 'NON_EMPTY_GROUP', 'Deleting a group with a member')
    checkEqual(errors[1], null, 'The error of deleting a group that only committed')
    checkEqual(errors[2], null, 'The error of deleting a group whose member left')
    checkKafkaError(errors[3], 'GROUP_ID_NOT_FOUND', 'Deleting a group that does not exist')
    await busy.heartbeat(member)
    checkEqual((await busy.committed(topic)).offset, 5, 'The offset of the group with a member')
    checkEqual((await simple.committed(topic)).offset, -1, 'The offset of the deleted group')
    checkKafkaError((await simple.describe()).error, 'GROUP_ID_NOT_FOUND', 'Describing a deleted group')
    const listed = (await engine.listGroups()).map(({ groupId }) => groupId)
    check(!listed.includes(simple.groupId) && !listed.includes(left.groupId), 'A deleted group is still listed.')
  },
}

export const groupTests: Readonly<Record<string, EngineTest>> = {
  ...membershipTests,
  ...rejoinTests,
  ...protocolTests,
  ...fencingTests,
  ...descriptionTests,
}

/** The answer must be the reason of the abort. */
async function checkAborted(answer: Promise<unknown>, what: string): Promise<void> {
  const reason = answer.then(() => 'an answer', reasonOf)
  checkEqual(await promptly(reason, `${what} that was aborted`), 'enough', `What ${what.toLowerCase()} ends with`)
}
