import { Cancellation, type CancelSignal } from '../cancellation.js'
import type { Engine } from '../engine/engine.js'
import type { RecordBatch } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { decodeMessage } from './decode.js'
import { startOfLast } from './last-messages.js'
import type { Message } from './message.js'
import { aSignal, checkOptions, describe, invalid, isWholeNumber, wholeNumber } from './options.js'
import { PartitionReader } from './partition-reader.js'
import { checkPosition, type Position, resolvePosition } from './position.js'
import type { Abortable } from './producer.js'
import { type AnyTopic, isTopic } from './topic.js'
import { describeTopic } from './topic-directory.js'

/** What `reader` takes. The signal ends it: the iterator throws its reason. */
export interface ReaderOptions extends Abortable {
  /** Default: all, each in order, one beside the other. */
  partition?: number
  /** Default 'earliest'. `last`: so many messages of each partition from its end, or all where there are fewer. */
  from?: Position | { last: number }
  /** 'end': what was there when reading began; an offset: up to and without it. Default: on and on. */
  until?: 'end' | { offset: number }
}

const READER_OPTIONS = {
  signal: aSignal,
  partition: wholeNumber(0),
  from: () => undefined,
  until: (value: unknown) =>
    value === 'end' || isWholeNumber(onlyField(value, 'offset')) ? undefined : "'end' or { offset }",
}

/** Checks its arguments at once; asks the engine when the first message is asked for. */
export function createReader(
  engine: Engine,
  clock: Clock,
  topic: AnyTopic,
  options: ReaderOptions = {},
): AsyncIterableIterator<Message> {
  if (!isTopic(topic)) throw invalid(`reader takes a Topic, not ${describe(topic)}`)
  checkOptions('reader', options, READER_OPTIONS)
  const ended = new Cancellation()
  const messages = read(engine, clock, topic, { ...options, from: checkFrom(options.from) }, ended)
  return {
    next: () => messages.next(),
    // A generator's own `return` waits for the `next` before it, and so for a message that may never come.
    return: () => {
      ended.abort()
      return messages.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

async function* read(
  engine: Engine,
  clock: Clock,
  topic: AnyTopic,
  options: CheckedOptions,
  ended: Cancellation,
): AsyncGenerator<Message, undefined> {
  const { signal } = options
  const onAbort = (): void => ended.abort()
  signal?.addEventListener('abort', onAbort)
  try {
    signal?.throwIfAborted()
    const spans = await spansOf(engine, topic, options, ended.signal)
    const pages = new PagesInTurn(spans.map((span) => pagesOf(engine, span, ended.signal)))
    for (let page = await pages.next(); page !== undefined; page = await pages.next()) {
      for (const batch of page.batches) {
        const records = batch.records()
        while (!batch.isControl && records.next()) {
          if (records.offset < page.from || records.offset >= page.span.until) continue
          signal?.throwIfAborted()
          yield decodeMessage(page.span.at, topic, records)
          // A log in memory never makes it wait, and others have work to do too.
          if (clock.turnIsSpent()) await clock.nextTurn()
        }
      }
    }
    signal?.throwIfAborted()
  } finally {
    ended.abort()
    signal?.removeEventListener('abort', onAbort)
  }
}

interface CheckedOptions extends ReaderOptions {
  from: Position | { last: number }
}

interface Span {
  readonly at: TopicPartition
  readonly from: number
  /** Exclusive; Infinity to go on for ever. */
  readonly until: number
}

interface Page {
  readonly span: Span
  /** The first batch may begin before it. */
  readonly from: number
  readonly batches: readonly RecordBatch[]
}

type Pages = AsyncGenerator<Page, undefined>

async function* pagesOf(engine: Engine, span: Span, signal: CancelSignal): Pages {
  const reader = new PartitionReader(engine, span.at)
  let from = span.from
  while (from < span.until && !signal.aborted) {
    const batches = await reader.read(from, signal)
    const last = batches.at(-1)
    if (last === undefined) continue
    yield { span, from, batches }
    from = last.lastOffset + 1
  }
  return undefined
}

/**
 * Pages of several partitions as they come; of each partition one is asked for at a time. Not with Promise.race, which
 * would leave something behind on the promise of a silent partition for every page of the others.
 */
class PagesInTurn {
  readonly #came: ({ pages: Pages; result: IteratorResult<Page, undefined> } | { error: unknown })[] = []
  /** Asked for and not handed out. */
  #asked = 0
  /** Whose page was handed out last. */
  #used: Pages | undefined
  #wake: (() => void) | undefined

  constructor(partitions: readonly Pages[]) {
    for (const pages of partitions) this.#ask(pages)
  }

  /** Undefined when every partition has come to its end. Rejects with what reading rejected with. */
  async next(): Promise<Page | undefined> {
    if (this.#used !== undefined) this.#ask(this.#used)
    this.#used = undefined
    while (this.#asked > 0) {
      const outcome = this.#came.shift()
      if (outcome === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        continue
      }
      this.#asked--
      if ('error' in outcome) throw outcome.error
      if (outcome.result.done === true) continue
      this.#used = outcome.pages
      return outcome.result.value
    }
    return undefined
  }

  #ask(pages: Pages): void {
    this.#asked++
    pages.next().then(
      (result) => this.#take({ pages, result }),
      (error) => this.#take({ error }),
    )
  }

  #take(outcome: { pages: Pages; result: IteratorResult<Page, undefined> } | { error: unknown }): void {
    this.#came.push(outcome)
    this.#wake?.()
  }
}

function checkFrom(from: unknown): Position | { last: number } {
  if (from === undefined) return 'earliest'
  const last = onlyField(from, 'last')
  if (last === undefined) return checkPosition('from', from)
  if (isWholeNumber(last)) return { last }
  throw invalid(`The last of from is a whole number from 0 up, not ${describe(last)}`)
}

function onlyField(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  const [only, second] = Object.entries(value)
  return second === undefined && only?.[0] === name ? only[1] : undefined
}

async function spansOf(
  engine: Engine,
  topic: AnyTopic,
  options: CheckedOptions,
  signal: CancelSignal,
): Promise<Span[]> {
  const { name } = topic
  const { partitionCount } = await describeTopic(engine, name)
  const { partition, from, until } = options
  if (partition !== undefined && partition >= partitionCount) {
    throw invalid(`Topic ${name} has no partition ${partition}: it has 0 to ${partitionCount - 1}`)
  }
  const partitions = partition === undefined ? Array.from({ length: partitionCount }, (_, index) => index) : [partition]
  const places = partitions.map((index) => ({ topic: name, partition: index }))
  const starts = await resolvePosition(engine, 'earliest', places)
  const ends = await resolvePosition(engine, 'latest', places)
  const froms =
    typeof from === 'object' && 'last' in from
      ? await Promise.all(
          places.map((at, index) => {
            const log = { start: starts[index] as number, end: ends[index] as number }
            return startOfLast(engine, at, from.last, log, signal)
          }),
        )
      : await resolvePosition(engine, from, places)
  return places.map((at, index) => ({
    at,
    from: froms[index] as number,
    until: until === 'end' ? (ends[index] as number) : (until?.offset ?? Number.POSITIVE_INFINITY),
  }))
}
