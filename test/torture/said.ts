import { json, Topic } from 'ottla'

/** What the child says once it is true; the parent reads it behind its back. */
export type Said =
  | readonly ['ready']
  | readonly ['sent', topic: string, partition: number, offset: number, id: string]
  | readonly ['committed', offset: number]

export interface Body {
  readonly id: string
  readonly padding: string
}

export const TOPICS: readonly Topic<Body, string>[] = [
  new Topic('orders', { partitions: 1, value: json<Body>() }),
  new Topic('audit', { partitions: 3, value: json<Body>() }),
  new Topic('short', { partitions: 1, retentionBytes: 100_000, value: json<Body>() }),
]
