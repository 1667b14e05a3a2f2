import { Cancellation, type CancelSignal } from '../cancellation.js'
import type { Engine } from '../engine/engine.js'
import type { RecordBatch, RecordCursor } from '../record/record-batch.js'
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
  return new MessageReader(engine, clock, topic, { ...options, from: checkFrom(options.from) })
}

/** A reader looks at the time once in so many messages. */
const MESSAGES_PER_TIME_CHECK = 8

/** Not a generator: whose every message takes promises of its own, where nearly always it is at hand (benchmark: read-files). */
class MessageReader implements AsyncIterableIterator<Message> {
  readonly #engine: Engine
  readonly #clock: Clock
  readonly #topic: AnyTopic
  readonly #options: CheckedOptions
  readonly #ended = new Cancellation()
  readonly #onAbort = (): void => this.#ended.abort()
  #pages: PagesInTurn | undefined
  /** What is read now: a page, its next batch, and the records of the one before that. */
  #page: Page | undefined
  #nextBatch = 0
  #records: RecordCursor | undefined
  #count = 0
  #hasEnded = false
  /** How many wait for their answer, and what settles when the last of them has it. */
  #waitingCount = 0
  #before: Promise<unknown> = Promise.resolve()

  constructor(engine: Engine, clock: Clock, topic: AnyTopic, options: CheckedOptions) {
    this.#engine = engine
    this.#clock = clock
    this.#topic = topic
    this.#options = options
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    if (this.#waitingCount === 0 && this.#mayGoOn()) {
      try {
        const message = this.#nextMessage()
        if (message !== undefined) return Promise.resolve({ done: false, value: message })
      } catch (error) {
        this.#end()
        return Promise.reject(error)
      }
    }
    return this.#inTurn(() => this.#read())
  }

  /** A `next` that waits for a message, which may never come, ends with it. */
  return(): Promise<IteratorResult<Message, undefined>> {
    this.#end()
    return this.#inTurn(async () => ({ done: true, value: undefined }))
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** False where the answer takes more than a look at what was read. A log in memory never makes it wait, and others have work to do too. */
  #mayGoOn(): boolean {
    if (this.#records === undefined || this.#options.signal?.aborted === true) return false
    return ++this.#count % MESSAGES_PER_TIME_CHECK !== 0 || !this.#clock.turnIsSpent()
  }

  /** Answers in the order in which it was asked. */
  #inTurn<T>(answer: () => Promise<T>): Promise<T> {
    const answerNow = async (): Promise<T> => {
      try {
        return await answer()
      } finally {
        this.#waitingCount--
      }
    }
    this.#waitingCount++
    const answered = this.#waitingCount === 1 ? answerNow() : this.#before.then(answerNow)
    this.#before = answered.catch(() => undefined)
    return answered
  }

  async #read(): Promise<IteratorResult<Message, undefined>> {
    if (this.#hasEnded) return { done: true, value: undefined }
    const { signal } = this.#options
    try {
      signal?.throwIfAborted()
      if (this.#clock.turnIsSpent()) await this.#clock.nextTurn()
      this.#pages ??= await this.#begin()
      while (!this.#hasEnded) {
        signal?.throwIfAborted()
        const message = this.#nextMessage()
        if (message !== undefined) return { done: false, value: message }
        this.#page = await this.#pages.next()
        this.#nextBatch = 0
        if (this.#page === undefined) this.#end()
      }
      signal?.throwIfAborted()
      return { done: true, value: undefined }
    } catch (error) {
      this.#end()
      throw error
    }
  }

  async #begin(): Promise<PagesInTurn> {
    const { signal } = this.#ended
    this.#options.signal?.addEventListener('abort', this.#onAbort)
    const spans = await spansOf(this.#engine, this.#topic, this.#options, signal)
    return new PagesInTurn(spans.map((span) => pagesOf(this.#engine, span, signal)))
  }

  /** Undefined at the end of the page. */
  #nextMessage(): Message | undefined {
    const page = this.#page
    if (page === undefined) return undefined
    for (;;) {
      const records = this.#records
      while (records?.next() === true) {
        if (records.offset < page.from || records.offset >= page.span.until) continue
        return decodeMessage(page.span.at, this.#topic, records)
      }
      const batch = page.batches[this.#nextBatch++]
      this.#records = batch === undefined || batch.isControl ? undefined : batch.records()
      if (batch === undefined) return undefined
    }
  }

  #end(): void {
    this.#hasEnded = true
    this.#page = undefined
    this.#records = undefined
    this.#ended.abort()
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
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
