import type { TopicPartition } from '../storage/storage.js'

/** As Kafka writes it: `orders-0`. It is unique, since only the partition's number follows the last dash. */
export function partitionName({ topic, partition }: Readonly<TopicPartition>): string {
  return `${topic}-${partition}`
}
