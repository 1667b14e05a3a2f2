import { bytes } from '../codec/bytes.js'
import type { Engine } from '../engine/engine.js'
import { OttlaError } from '../errors.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { DEAD_LETTER_HEADERS, type DeadLetter, deadLetterOf } from './dead-letters.js'
import type { Message } from './message.js'
import { OffsetRanges } from './offset-ranges.js'
import { aFunction, aSignal, checkOptions, invalid, type OptionRule } from './options.js'
import { partitionName } from './partition-name.js'
import { resolvePosition } from './position.js'
import type { Abortable, Producer } from './producer.js'
import { createReader } from './reader.js'
import { type AnyTopic, isTopic, Topic } from './topic.js'
import { describeTopic } from './topic-directory.js'

/** What `redrive` takes. The signal ends it between two messages: it then rejects with the signal's reason. */
export interface RedriveOptions extends Abortable {
  /** True for a message that is to be sent again; the others are left. Default: all are. Key and value are bytes. */
  filter?: (letter: DeadLetter, message: Message<Uint8Array, Uint8Array>) => boolean
  /** Where they are sent. Default: each to the topic that it came from. */
  to?: AnyTopic | string
}

/** What `redrive` did. */
export interface RedriveResult {
  /** Messages that were sent again. */
  redriven: number
  /** Messages that were looked at and left: the filter did not want them, or nothing says where they came from. */
  left: number
}

const REDRIVE_OPTIONS: Readonly<Record<keyof RedriveOptions, OptionRule>> = {
  signal: aSignal,
  filter: aFunction,
  to: (value) => (isTopic(value) || typeof value === 'string' ? undefined : 'a Topic or its name'),
}

/** Messages that are sent before what became of them is written down. */
const PAGE_MESSAGES = 256
/** Kafka's brokers take 4,096 bytes of metadata with an offset. */
const LONGEST_METADATA = 4000

export interface RedriveContext {
  readonly engine: Engine
  readonly clock: Clock
  readonly producer: () => Producer
}

/** The raw message, what is known of it, and whether it is sent. */
interface Sorted {
  readonly message: Message<Uint8Array, Uint8Array>
  readonly letter: DeadLetter | undefined
  readonly isWanted: boolean
}

/**
 * Sends the messages of a dead-letter topic again. Nothing is removed from a log, so what is dealt with is written down
 * as a group does it: as the offset of the group `<topic>.redrive`. Messages below it that were left are listed in the
 * metadata of that offset, as in '3-5,9', so that a later call finds them.
 */
export class Redrive {
  readonly #context: RedriveContext
  readonly #name: string
  readonly #groupId: string
  readonly #options: RedriveOptions
  readonly #partitionCounts = new Map<string, number>()
  #redriven = 0
  #left = 0
  /** Of the first message that could not be sent. */
  #failure: { readonly error: unknown } | undefined

  /** Throws OTTLA_INVALID_ARGUMENT. */
  constructor(context: RedriveContext, name: string, options: RedriveOptions = {}) {
    checkOptions('redrive', options, REDRIVE_OPTIONS)
    this.#context = context
    this.#name = name
    this.#groupId = `${name}.redrive`
    this.#options = options
    if (this.#target === name)
      throw invalid(`Messages of ${name} cannot be redriven to ${name} itself: name another topic`)
  }

  /** Up to what is there when it begins. Throws for a message that cannot be sent when all the others are dealt with. */
  async run(): Promise<RedriveResult> {
    const { engine } = this.#context
    this.#options.signal?.throwIfAborted()
    const { partitionCount } = await describeTopic(engine, this.#name)
    if (this.#target !== undefined) await this.#partitionCount(this.#target)
    const places = Array.from({ length: partitionCount }, (_, partition) => ({ topic: this.#name, partition }))
    const starts = await resolvePosition(engine, 'earliest', places)
    const ends = await resolvePosition(engine, 'latest', places)
    const committed = await engine.fetchOffsets({ groupId: this.#groupId, partitions: places })
    // Anew, since offsets may expire: those of a group that never has members from their commit on.
    await this.#commit(
      committed.flatMap(({ offset, metadata }, index) =>
        offset < 0 ? [] : [{ ...(places[index] as TopicPartition), offset, metadata: metadata ?? '' }],
      ),
    )
    for (const [index, at] of places.entries()) {
      const start = starts[index] as number
      const dealtWith = Math.max(committed[index]?.offset ?? -1, start)
      const left = OffsetRanges.parse(committed[index]?.metadata ?? '', start, dealtWith)
      await this.#partition(at, dealtWith, left, ends[index] as number)
    }
    if (this.#failure !== undefined) throw this.#failure.error
    return { redriven: this.#redriven, left: this.#left }
  }

  get #target(): string | undefined {
    const { to } = this.#options
    return to === undefined || typeof to === 'string' ? to : to.name
  }

  async #partition(at: TopicPartition, dealtWith: number, left: OffsetRanges, end: number): Promise<void> {
    const { engine, clock } = this.#context
    const { filter, signal } = this.#options
    const raw = new Topic(this.#name, { key: bytes(), value: bytes() })
    const messages: AsyncIterable<unknown> = createReader(engine, clock, raw, {
      partition: at.partition,
      from: { offset: left.first ?? dealtWith },
      until: { offset: end },
    })
    let page: Sorted[] = []
    let reached = dealtWith
    for await (const untyped of messages) {
      signal?.throwIfAborted()
      // As the codecs of `raw` have it.
      const found = untyped as Message<Uint8Array, Uint8Array>
      if (found.offset < dealtWith && !left.has(found.offset)) continue
      const letter = deadLetterOf(found)
      const isKnown = letter !== undefined || this.#target !== undefined
      const isWanted = isKnown && (filter === undefined || (letter !== undefined && filter(letter, found) === true))
      page.push({ message: found, letter, isWanted })
      reached = Math.max(reached, found.offset + 1)
      if (page.length < PAGE_MESSAGES) continue
      await this.#sendPage(at, page, left, reached)
      page = []
    }
    if (page.length > 0) await this.#sendPage(at, page, left, Math.max(reached, end))
  }

  /** `left` is what was left of all pages: to it goes what cannot be sent, so that it holds up nothing else. */
  async #sendPage(at: TopicPartition, page: readonly Sorted[], left: OffsetRanges, reached: number): Promise<void> {
    for (const { message, isWanted } of page) {
      if (isWanted) left.delete(message.offset)
      else left.add(message.offset)
    }
    // Before anything is sent, or it would be sent again by the next call.
    if (`${left}`.length > LONGEST_METADATA) throw tooManyLeft(at, page[0]?.message.offset ?? reached)
    const wanted = page.filter(({ isWanted }) => isWanted)
    const sent = await Promise.allSettled(wanted.map(({ message, letter }) => this.#send(message, letter)))
    let failed = 0
    for (const [index, outcome] of sent.entries()) {
      if (outcome.status === 'fulfilled') continue
      failed++
      left.add((wanted[index] as Sorted).message.offset)
      this.#failure ??= { error: outcome.reason }
    }
    const metadata = `${left}`
    // Where they cannot be kept track of one by one, the page is sent again as a whole: rather twice than never.
    if (metadata.length > LONGEST_METADATA) throw this.#failure?.error
    await this.#commit([{ ...at, offset: reached, metadata }])
    this.#redriven += wanted.length - failed
    this.#left += page.length - wanted.length
  }

  async #commit(offsets: readonly (TopicPartition & { offset: number; metadata: string })[]): Promise<void> {
    if (offsets.length === 0) return
    const outcomes = await this.#context.engine.commitOffsets({
      groupId: this.#groupId,
      memberId: '',
      generationId: -1,
      instanceId: null,
      offsets,
    })
    for (const { error } of outcomes) if (error) throw error
  }

  async #send(message: Message<Uint8Array, Uint8Array>, letter: DeadLetter | undefined): Promise<void> {
    const name = this.#target ?? (letter as DeadLetter).topic
    const partitionCount = await this.#partitionCount(name)
    const { key, value } = message
    await this.#context.producer().send(new Topic(name, { key: bytes(), value: bytes() }), {
      key,
      value,
      headers: originalHeaders(message),
      ...(letter === undefined ? {} : { timestamp: letter.timestamp }),
      ...(letter === undefined || letter.partition >= partitionCount ? {} : { partition: letter.partition }),
    })
  }

  async #partitionCount(topic: string): Promise<number> {
    const known = this.#partitionCounts.get(topic)
    if (known !== undefined) return known
    const { partitionCount } = await describeTopic(this.#context.engine, topic)
    this.#partitionCounts.set(topic, partitionCount)
    return partitionCount
  }
}

/** Without those that parking added, which are the last ones. */
function originalHeaders({ headers }: Message<Uint8Array, Uint8Array>): [string, Uint8Array | null][] {
  const all = [...headers]
  const added = all.slice(-DEAD_LETTER_HEADERS.length).map(([name]) => name)
  const isParked = added.join() === DEAD_LETTER_HEADERS.join()
  return isParked ? all.slice(0, -DEAD_LETTER_HEADERS.length) : all
}

function tooManyLeft(at: TopicPartition, offset: number): OttlaError {
  return new OttlaError(
    'OTTLA_OFFSET_METADATA_TOO_LARGE',
    `The filter leaves so many messages of ${partitionName(at)} here and there that they cannot be kept track of. Those before offset ${offset} are dealt with; redrive some of what is left before those that follow`,
  )
}
