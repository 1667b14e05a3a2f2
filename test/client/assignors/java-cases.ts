import { readFileSync } from 'node:fs'
import type { Assignor, AssignorMember } from '../../../src/client/assignors/assignor.js'
import type { TopicPartitions } from '../../../src/protocol/consumer-protocol.js'

/** Topic to partitions, ascending. */
export type Partitions = Record<string, number[]>

/** What Kafka 4.2's own assignor answered to this group. */
export interface JavaCase {
  partitionCounts: Record<string, number>
  members: {
    memberId: string
    instanceId?: string
    topics: string[]
    owned?: Partitions
    generation?: number
    /** Java's own bytes, in hex: the sticky assignor's only, which holds nothing and says here what it held. */
    userData?: string
  }[]
  assignment: Record<string, Partitions>
  /** Before the partitions that have to be revoked first are taken out: cooperative-sticky only. */
  target?: Record<string, Partitions>
}

export function javaCases(name: string): JavaCase[] {
  return JSON.parse(readFileSync(new URL(`../../fixtures/assignors/${name}.json`, import.meta.url), 'utf8'))
}

function membersOf({ members }: JavaCase): AssignorMember[] {
  return members.map(({ memberId, instanceId, topics, owned = {}, generation = -1, userData }) => ({
    memberId,
    instanceId: instanceId ?? null,
    subscription: {
      topics,
      userData: userData === undefined ? null : Buffer.from(userData, 'hex'),
      ownedPartitions: userData === undefined ? grouped(owned) : [],
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

/** As the consumer protocol has them. */
export function grouped(partitions: Partitions): TopicPartitions[] {
  return Object.entries(partitions).map(([topic, numbers]) => ({ topic, partitions: numbers }))
}

export function numbered(cases: JavaCase[]): { java: JavaCase; index: number }[] {
  return cases.map((java, index) => ({ java, index }))
}

export function loads({ members }: JavaCase, assignment: Record<string, Partitions> = {}): number[] {
  return members.map(({ memberId }) => flat(assignment[memberId]).length).sort((a, b) => a - b)
}

export function unevenness(group: JavaCase, assignment?: Record<string, Partitions>): number {
  return loads(group, assignment).reduce((sum, load) => sum + load ** 2, 0)
}

/** How many partitions stay where they are, by the claims of the newest generation. */
export function keptOf({ members }: JavaCase, assignment: Record<string, Partitions> = {}): number {
  const newest = Math.max(...members.map(({ generation = -1 }) => generation))
  let kept = 0
  for (const { memberId, owned, generation = -1 } of members) {
    const assigned = new Set(flat(assignment[memberId]))
    if (generation === newest) kept += flat(owned).filter((partition) => assigned.has(partition)).length
  }
  return kept
}
