import type { CancelSignal } from '../cancellation.js'
import { noRecords } from '../record/encoded-batch.js'
import type { RecordBatch, RecordCursor } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { decodeMessage, type MessageCodecs } from './decode.js'
import { type EachDispatch, MESSAGES_PER_TIME_CHECK } from './dispatch.js'
import type { Deliverable, InFlight } from './in-flight.js'
import type { Message } from './message.js'
import type { Slots } from './slots.js'

export interface ConcurrentCallsOptions {
  readonly at: TopicPartition
  readonly clock: Clock
  readonly codecs: MessageCodecs
  readonly handler: EachDispatch['handler']
  readonly isByKey: boolean
  /** Messages that wait behind others of their key, at most. */
  readonly lookahead: number
  readonly slots: Slots | undefined
  readonly inFlight: InFlight
  /** Everything below it was handed out. */
  readonly position: () => number
  /** Told where it is then. */
  readonly onHandedOut: (position: number) => void
  /** True when nothing further may be handed out. */
  readonly isInterrupted: () => boolean
  /** Told when nothing is handed out before something in flight is done, and when that is over. */
  readonly onHeldUp: (isHeldUp: boolean) => void
}

/** Messages that are decoded before there is a slot for them, at most. */
const MAX_AHEAD = 128

/** Once so many bytes of them are decoded, no further ones are: a compressed batch may hold a hundred mebibytes. */
const MAX_AHEAD_BYTES = 256 * 2 ** 10

/** Why nothing further is handed out. */
type Halt = 'end' | 'interrupted' | 'no slot' | 'full' | 'turn spent'

/**
 * Calls a handler for the messages of one partition beside each other, one for each slot and key.
 *
 * Many handlers end in one turn of the event loop, and whatever is done between the end of one and the beginning of the
 * next all the others wait for (benchmark: key-order). So the end of a handler begins the next one within the same call,
 * and what comes next is decoded in a later turn, while handlers wait.
 */
export class ConcurrentCalls {
  readonly #options: ConcurrentCallsOptions
  #batches: readonly RecordBatch[] = []
  /** Of those, the ones that the cursor has entered. */
  #enteredCount = 0
  #records = noRecords()
  /** What lies below was handed out before. */
  #start = 0
  /** True while the cursor stands on a record that is to be decoded. */
  #isOnRecord = false
  /** Decoded and not handed out, from `#aheadStart` on. */
  #ahead: Deliverable[] = []
  #aheadStart = 0
  #aheadBytes = 0
  #isDecodingDue = false
  /** What was thrown after the last of those. */
  #thrown: { readonly error: unknown } | undefined
  #countSinceTimeCheck = 0

  constructor(options: ConcurrentCallsOptions) {
    this.#options = options
  }

  /** Hands out messages until it is interrupted. Rejects with what reading or decoding throws, after what comes before. */
  async deliver(batches: readonly RecordBatch[], signal: CancelSignal): Promise<void> {
    const { clock, inFlight, position, onHandedOut, onHeldUp } = this.#options
    this.#batches = batches
    this.#start = position()
    try {
      for (;;) {
        let halt = this.#handOut()
        if (halt === 'no slot') halt = await this.#handOutWithSlots(signal)
        if (halt === 'full') {
          onHeldUp(true)
          await inFlight.nextHandled()
          onHeldUp(false)
        } else if (halt === 'turn spent') await clock.nextTurn()
        else {
          const last = batches[batches.length - 1]
          // Past what holds no message too: a marker, or a gap that compaction left.
          if (halt === 'end' && last !== undefined) onHandedOut(last.lastOffset + 1)
          return
        }
      }
    } finally {
      this.#forget()
    }
  }

  /** Nothing but what is in flight keeps a batch. */
  #forget(): void {
    this.#batches = []
    this.#enteredCount = 0
    this.#records = noRecords()
    this.#isOnRecord = false
    this.#ahead = []
    this.#aheadStart = 0
    this.#aheadBytes = 0
    this.#thrown = undefined
  }

  /** Hands out one after the other until something stands in the way. */
  #handOut(): Halt {
    const { clock, inFlight, isInterrupted, lookahead, slots } = this.#options
    while (this.#hasNext()) {
      if (isInterrupted()) return 'interrupted'
      if (inFlight.isFull(lookahead)) return 'full'
      if (++this.#countSinceTimeCheck >= MESSAGES_PER_TIME_CHECK) {
        this.#countSinceTimeCheck = 0
        if (clock.turnIsSpent()) return 'turn spent'
      }
      if (this.#aheadStart === this.#ahead.length) this.#decode()
      const next = this.#ahead[this.#aheadStart] as Deliverable
      // A message behind another of its key is handled in the slot of that one.
      if (inFlight.addBehind(next)) this.#handedOut(next)
      else if (slots === undefined || slots.tryAcquire()) this.#startFirst()
      else return 'no slot'
    }
    return 'end'
  }

  /** Hands out those that come next as slots become free, until it is not for the want of a slot that it stops. */
  #handOutWithSlots(signal: CancelSignal): Promise<Halt> {
    const { isInterrupted, slots } = this.#options
    return new Promise((resolve, reject) => {
      const onSlot = (): boolean => {
        try {
          this.#startFirst()
          const halt = this.#handOut()
          if (halt === 'no slot') {
            this.#decodeLater()
            return true
          }
          resolve(halt)
        } catch (error) {
          reject(error)
        }
        signal.removeEventListener('abort', onAbort)
        return false
      }
      const onAbort = (): void => {
        slots?.leave(onSlot)
        resolve('interrupted')
      }
      if (isInterrupted()) return resolve('interrupted')
      slots?.wait(onSlot)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#decodeLater()
    })
  }

  /** The first of those that were decoded is handled. The slot that it needs is taken. */
  #startFirst(): void {
    const { handler, inFlight } = this.#options
    const first = this.#ahead[this.#aheadStart] as Deliverable
    inFlight.start(first, handler)
    this.#handedOut(first)
  }

  #handedOut(first: Deliverable): void {
    this.#options.onHandedOut(first.message.offset + 1)
    this.#aheadStart++
    this.#aheadBytes -= first.sizeInBytes
    if (this.#aheadStart < this.#ahead.length) return
    this.#ahead = []
    this.#aheadStart = 0
  }

  /** True where a message is decoded, or can be. */
  #hasNext(): boolean {
    if (this.#aheadStart < this.#ahead.length) return true
    if (this.#thrown !== undefined) throw this.#thrown.error
    return this.#stepOn()
  }

  /** Moves the cursor to the next record that is to be decoded. False where there is none. */
  #stepOn(): boolean {
    while (!this.#isOnRecord) {
      if (this.#records.next()) this.#isOnRecord = this.#records.offset >= this.#start
      else if (!this.#enterBatch()) return false
    }
    return true
  }

  #enterBatch(): boolean {
    const batch = this.#batches[this.#enteredCount]
    if (batch === undefined) return false
    this.#records = batch.isControl ? noRecords() : batch.records()
    this.#enteredCount++
    return true
  }

  #decode(): void {
    const { at, codecs, isByKey } = this.#options
    const records = this.#records
    const { bodySizeInBytes: sizeInBytes, offset } = records
    const message = decodeMessage(at, codecs, records)
    this.#isOnRecord = false
    this.#ahead.push({
      message,
      sizeInBytes,
      key: isByKey ? orderingKey(message, records) : offset,
      batch: this.#batches[this.#enteredCount - 1],
    })
    this.#aheadBytes += sizeInBytes
  }

  #decodeLater(): void {
    if (this.#isDecodingDue || this.#ahead.length - this.#aheadStart > MAX_AHEAD / 2) return
    this.#isDecodingDue = true
    void this.#options.clock.nextTurn().then(() => {
      this.#isDecodingDue = false
      this.#decodeAhead()
    })
  }

  #decodeAhead(): void {
    const { clock, isInterrupted } = this.#options
    if (isInterrupted() || this.#thrown !== undefined) return
    this.#ahead = this.#ahead.slice(this.#aheadStart)
    this.#aheadStart = 0
    try {
      while (this.#ahead.length < MAX_AHEAD && this.#aheadBytes < MAX_AHEAD_BYTES && this.#stepOn()) {
        this.#decode()
        if (this.#ahead.length % MESSAGES_PER_TIME_CHECK === 0 && clock.turnIsSpent()) return
      }
    } catch (error) {
      this.#thrown = { error }
    }
  }
}

/** Equal where the keys are. Without a key there is no order to keep. */
function orderingKey({ key, offset }: Message, records: RecordCursor): string | number {
  if (typeof key === 'string') return key
  const bytes = records.key
  // The text of the bytes compares where an array, or what a codec makes of it, would not.
  return bytes === null ? offset : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
