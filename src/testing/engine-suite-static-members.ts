import type { JoinGroupResult } from '../group/group-requests.js'
import type { EngineTest } from './engine-under-test.js'
import { check, checkEqual } from './expect.js'
import { GroupUnderTest, leaderFirst } from './group-under-test.js'
import { checkKafkaError, checkKafkaRefusal } from './kafka-error.js'
import { promptly } from './patience.js'

const instanceId = 'instance'

/** A group in which a static member leads, beside a follower without a name; both have their assignments. */
async function ledByStatic(group: GroupUnderTest): Promise<{ leader: JoinGroupResult; follower: JoinGroupResult }> {
  const first = await group.single({ instanceId })
  const joining = group.joining()
  joining.catch(() => undefined)
  await group.rebalancing({ ...first, instanceId })
  const again = group.joining({ memberId: first.memberId, instanceId })
  const [leader, follower] = leaderFirst(await promptly(Promise.all([again, joining]), 'The join of both members'))
  checkEqual(leader.memberId, first.memberId, 'The leader')
  const told = leader.members.find(({ memberId }) => memberId === leader.memberId)
  checkEqual(told?.instanceId, instanceId, 'The instance id that the leader is told')
  await group.sync({ ...leader, instanceId }, { [leader.memberId]: 'one', [follower.memberId]: 'two' })
  checkEqual(await group.sync(follower), 'two', 'The assignment of the follower')
  return { leader, follower }
}

export const staticMemberTests: Readonly<Record<string, EngineTest>> = {
  'a static leader that comes back leads on, assigns nothing anew, and nobody else hears of it': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const { leader, follower } = await ledByStatic(group)
    const back = await group.join({ instanceId })
    checkEqual(back.generationId, leader.generationId, 'The generation')
    checkEqual(back.leader, back.memberId, 'The leader, by its new id,')
    checkEqual(back.skipAssignment, true, 'Whether the leader must not assign')
    checkEqual(back.members.length, 2, 'The number of members that the leader is told')
    await group.heartbeat(follower)
    const mine = await group.sync({ ...back, instanceId }, { [back.memberId]: 'other', [follower.memberId]: 'other' })
    checkEqual(mine, 'one', 'The assignment of the leader that came back')
    checkEqual(await group.sync(follower), 'two', 'The assignment of the follower')
  },

  'a static member that was replaced commits nothing, and cannot make its successor leave': async (subject) => {
    const { engine } = subject
    const group = new GroupUnderTest(engine)
    const topic = await subject.topic()
    const before = { ...(await group.single({ instanceId })), instanceId }
    const after = { ...(await group.join({ instanceId })), instanceId }
    const commit = (): Promise<unknown> => group.commitAll(before, [{ topic, offset: 5 }])
    await checkKafkaRefusal('FENCED_INSTANCE_ID', commit, 'A commit of the old id')
    checkEqual((await group.committed(topic)).offset, -1, 'The offset after a commit that was refused')
    checkKafkaError((await group.leave(before))[0], 'FENCED_INSTANCE_ID', 'Leaving by the old id')
    await group.heartbeat(after)
    await group.commit(after, topic, 6)
    checkEqual((await group.committed(topic)).offset, 6, 'The offset that the new id committed')
  },

  'a heartbeat of a static member that waits hears of its successor': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const before = { ...(await group.single({ instanceId })), instanceId }
    const waiting = group.heartbeat(before, { wait: true })
    // Heard of where it is awaited.
    waiting.catch(() => undefined)
    await group.join({ instanceId })
    const heartbeat = (): Promise<void> => promptly(waiting, 'A heartbeat after the member was replaced')
    await checkKafkaRefusal('FENCED_INSTANCE_ID', heartbeat, 'A heartbeat that waited')
  },

  'a name that no member has is refused': async ({ engine }) => {
    const group = new GroupUnderTest(engine)
    const member = await group.single()
    const named = { ...member, instanceId: 'nobody' }
    await checkKafkaRefusal('UNKNOWN_MEMBER_ID', () => group.heartbeat(named), 'A heartbeat under a name of nobody')
    const [error] = await group.leave({ memberId: '', instanceId: 'nobody' })
    checkKafkaError(error, 'UNKNOWN_MEMBER_ID', 'Leaving under a name of nobody')
    check((await group.describe()).members.length === 1, 'A member has left whose name nobody has.')
  },
}
