import { readFileSync } from 'node:fs'
import type { Assignor, AssignorMember } from '../../../src/client/assignors/assignor.js'
import type { TopicPartitions } from '../../../src/protocol/consumer-protocol.js'

/** Topic to partitions, ascending. */
export type Partitions = Record<string, number[]>

/** What Kafka 4.2's own assignor answered to this group. */
export interface JavaCase {
  partitionCounts: Record<string, number>
  members: { memberId: string; instanceId?: string; topics: string[]; owned?: Partitions; generation?: number }[]
  assignment: Record<string, Partitions>
  /** Before the partitions that have to be revoked first are taken out: cooperative-sticky only. */
  target?: Record<string, Partitions>
}

export function javaCases(name: string): JavaCase[] {
  return JSON.parse(readFileSync(new URL(`../../fixtures/assignors/${name}.json`, import.meta.url), 'utf8'))
}

function membersOf({ members }: JavaCase): AssignorMember[] {
  return members.map(({ memberId, instanceId, topics, owned = {}, generation = -1 }) => ({
    memberId,
    instanceId: instanceId ?? null,
    subscription: {
      topics,
      userData: null,
      ownedPartitions: Object.entries(owned).map(([topic, partitions]) => ({ topic, partitions })),
      generationId: generation,
      rackId: null,
    },
  }))
}

export function assign(assignor: Assignor, java: JavaCase): Record<string, Partitions> {
  return plain(assignor.assign(membersOf(java), new Map(Object.entries(java.partitionCounts))))
}

export function plain(assignments: ReadonlyMap<string, readonly TopicPartitions[]>): Record<string, Partitions> {
  const members = [...assignments].map(([memberId, assigned]): [string, Partitions] => [
    memberId,
    Object.fromEntries(assigned.map(({ topic, partitions }) => [topic, [...partitions]])),
  ])
  return Object.fromEntries(members)
}

/** Each partition as one string. */
export function flat(partitions: Partitions | undefined): string[] {
  return Object.entries(partitions ?? {}).flatMap(([topic, numbers]) => numbers.map((number) => `${topic}/${number}`))
}
