import type { Engine } from '../engine/engine.js'
import type { TopicPartition } from '../storage/storage.js'
import { decodeMessage } from './decode.js'
import type { Message } from './message.js'
import { aSignal, checkOptions, describe, invalid, wholeNumber } from './options.js'
import { PartitionReader } from './partition-reader.js'
import { checkPosition, type Position, resolvePosition } from './position.js'
import type { Abortable } from './producer.js'
import { type AnyTopic, isTopic } from './topic.js'
import { describeTopic } from './topic-directory.js'

export interface ReaderOptions extends Abortable {
  /** Default: all, each in order, one beside the other. */
  partition?: number
  /** Default 'earliest'. `last` counts back from the end of each partition. */
  from?: Position | { last: number }
  /** 'end': what was there when reading began; an offset: up to and without it. Default: on and on. */
  until?: 'end' | { offset: number }
}

const READER_OPTIONS = {
  signal: aSignal,
  partition: wholeNumber(0),
  from: () => undefined,
  until: (value: unknown) =>
    value === 'end' ||
    (typeof value === 'object' && value !== null && 'offset' in value && wholeNumber(0)(value.offset) === undefined)
      ? undefined
      : "'end' or { offset }",
}

/** Checks its arguments at once; asks the engine when the first message is asked for. */
export function createReader(
  engine: Engine,
  topic: AnyTopic,
  options: ReaderOptions = {},
): AsyncIterableIterator<Message> {
  if (!isTopic(topic)) throw invalid(`reader takes a Topic, not ${describe(topic)}`)
  checkOptions('reader', options, READER_OPTIONS)
  const { from = 'earliest' } = options
  const last = typeof from === 'object' && 'last' in from ? from.last : undefined
  const wrong = last === undefined ? undefined : wholeNumber(0)(last)
  if (wrong !== undefined) throw invalid(`The last of from is ${wrong}, not ${describe(last)}`)
  if (typeof from !== 'object' || !('last' in from)) checkPosition('from', from)
  return read(engine, topic, options)
}

async function* read(engine: Engine, topic: AnyTopic, options: ReaderOptions): AsyncGenerator<Message> {
  const ended = new AbortController()
  const onAbort = (): void => ended.abort()
  options.signal?.addEventListener('abort', onAbort)
  try {
    options.signal?.throwIfAborted()
    const spans = await spansOf(engine, topic, options)
    const pages = spans.map((span) => pagesOf(engine, topic, span, ended.signal))
    // Of each partition one page is asked for at a time; the first to come is the first to go out.
    const asked = new Map(pages.map((page) => [page, ask(page)]))
    while (asked.size > 0) {
      const { page, result } = await Promise.race(asked.values())
      options.signal?.throwIfAborted()
      if (result.done === true) {
        asked.delete(page)
        continue
      }
      yield* result.value
      asked.set(page, ask(page))
    }
  } finally {
    ended.abort()
    options.signal?.removeEventListener('abort', onAbort)
  }
}

interface Span {
  readonly at: TopicPartition
  readonly from: number
  /** Exclusive; Infinity to go on for ever. */
  readonly until: number
}

type Pages = AsyncGenerator<Message[]>

async function ask(page: Pages): Promise<{ page: Pages; result: IteratorResult<Message[]> }> {
  return { page, result: await page.next() }
}

async function* pagesOf(engine: Engine, topic: AnyTopic, span: Span, signal: AbortSignal): Pages {
  const reader = new PartitionReader(engine, span.at)
  let offset = span.from
  while (offset < span.until && !signal.aborted) {
    const page: Message[] = []
    for (const batch of await reader.read(offset, signal)) {
      const records = batch.records()
      while (!batch.isControl && records.next()) {
        if (records.offset >= offset && records.offset < span.until) page.push(decodeMessage(span.at, topic, records))
      }
      offset = batch.lastOffset + 1
    }
    if (page.length > 0) yield page
  }
}

async function spansOf(engine: Engine, topic: AnyTopic, options: ReaderOptions): Promise<Span[]> {
  const { name } = topic
  const { partitionCount } = await describeTopic(engine, name)
  const { partition, from = 'earliest', until } = options
  if (partition !== undefined && partition >= partitionCount) {
    throw invalid(`Topic ${name} has no partition ${partition}: it has 0 to ${partitionCount - 1}`)
  }
  const partitions = partition === undefined ? Array.from({ length: partitionCount }, (_, index) => index) : [partition]
  const places = partitions.map((index) => ({ topic: name, partition: index }))
  const starts = await resolvePosition(engine, 'earliest', places)
  const ends = await resolvePosition(engine, 'latest', places)
  const wanted = typeof from === 'object' && 'last' in from ? undefined : await resolvePosition(engine, from, places)
  return places.map((at, index) => {
    const start = starts[index] as number
    const end = ends[index] as number
    const last = typeof from === 'object' && 'last' in from ? from.last : 0
    return {
      at,
      from: wanted?.[index] ?? Math.max(end - last, start),
      until: until === 'end' ? end : (until?.offset ?? Number.POSITIVE_INFINITY),
    }
  })
}
