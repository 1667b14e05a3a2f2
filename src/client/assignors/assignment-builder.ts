import type { TopicPartitions } from '../../protocol/consumer-protocol.js'
import type { AssignorMember } from './assignor.js'

/** Collects single partitions into what an assignor returns, sorted by topic and partition. */
export class AssignmentBuilder {
  readonly #partitions = new Map<string, Map<string, number[]>>()

  constructor(members: readonly AssignorMember[]) {
    for (const { memberId } of members) this.#partitions.set(memberId, new Map())
  }

  add(memberId: string, topic: string, partition: number): void {
    const topics = this.#partitions.get(memberId)
    const partitions = topics?.get(topic)
    if (partitions === undefined) topics?.set(topic, [partition])
    else partitions.push(partition)
  }

  build(): Map<string, TopicPartitions[]> {
    const assignments = new Map<string, TopicPartitions[]>()
    for (const [memberId, topics] of this.#partitions) {
      const assigned: TopicPartitions[] = []
      for (const topic of [...topics.keys()].sort()) {
        const partitions = topics.get(topic) ?? []
        assigned.push({ topic, partitions: partitions.sort((a, b) => a - b) })
      }
      assignments.set(memberId, assigned)
    }
    return assignments
  }
}
