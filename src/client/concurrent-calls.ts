import type { CancelSignal } from '../cancellation.js'
import { noRecords } from '../record/encoded-batch.js'
import type { RecordBatch, RecordCursor } from '../record/record-batch.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { decodeMessage, type MessageCodecs } from './decode.js'
import { type EachDispatch, MESSAGES_PER_TIME_CHECK } from './dispatch.js'
import type { InFlight } from './in-flight.js'
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
  /** True when nothing further may be handed out: what this is called in then returns. */
  readonly isInterrupted: () => boolean
  /** Told when nothing is handed out before something in flight is done, and when that is over. */
  readonly onHeldUp: (isHeldUp: boolean) => void
}

/** Why nothing further is handed out. */
type Halt = 'end' | 'interrupted' | 'no slot' | 'full' | 'turn spent'

/**
 * Calls a handler for the messages of one partition beside each other, one for each slot and key.
 *
 * The end of a handler begins the next one within the same call: with a promise in between all that is in flight would
 * stand still for three more steps at each message (benchmark: key-order).
 */
export class ConcurrentCalls {
  readonly #options: ConcurrentCallsOptions
  #records = noRecords()
  /** True while the cursor stands on a record that was not handed out. */
  #hasRecord = false
  /** Of that record, where a slot is all that it waits for. */
  #message: Message | undefined
  #key: string | number = 0
  #countSinceTimeCheck = 0

  constructor(options: ConcurrentCallsOptions) {
    this.#options = options
  }

  /** Hands out the messages of a batch. False when it was interrupted. Rejects with what reading or decoding throws. */
  async deliver(batch: RecordBatch, signal: CancelSignal): Promise<boolean> {
    const { clock, inFlight, isInterrupted, onHeldUp } = this.#options
    this.#records = batch.isControl ? noRecords() : batch.records()
    try {
      this.#hasRecord = this.#records.next()
      for (;;) {
        let halt = this.#handOut()
        if (halt === 'no slot') halt = await this.#handOutWithSlots(signal)
        if (halt === 'full') {
          onHeldUp(true)
          await inFlight.nextHandled()
          onHeldUp(false)
        } else if (halt === 'turn spent') await clock.nextTurn()
        else return !isInterrupted()
      }
    } finally {
      // Nothing but what is in flight keeps a batch.
      this.#records = noRecords()
      this.#message = undefined
    }
  }

  /** Hands out one after the other until something stands in the way. */
  #handOut(): Halt {
    const { at, clock, codecs, handler, inFlight, isByKey, isInterrupted, lookahead, position, slots, onHandedOut } =
      this.#options
    const records = this.#records
    for (; this.#hasRecord; this.#hasRecord = records.next()) {
      const { offset } = records
      if (offset < position()) continue
      if (isInterrupted()) return 'interrupted'
      if (inFlight.isFull(lookahead)) return 'full'
      if (++this.#countSinceTimeCheck >= MESSAGES_PER_TIME_CHECK) {
        this.#countSinceTimeCheck = 0
        if (clock.turnIsSpent()) return 'turn spent'
      }
      const message = decodeMessage(at, codecs, records)
      const key = isByKey ? orderingKey(message, records) : offset
      // A message behind another of its key is handled in the slot of that one.
      if (!inFlight.addBehind(message, records.bodySizeInBytes, key)) {
        if (slots !== undefined && !slots.tryAcquire()) {
          this.#message = message
          this.#key = key
          return 'no slot'
        }
        inFlight.start(message, records.bodySizeInBytes, key, handler)
      }
      onHandedOut(offset + 1)
    }
    return 'end'
  }

  /** Hands out the message that waits for a slot when one is free, and those that follow, until it is not a slot that is missing. */
  #handOutWithSlots(signal: CancelSignal): Promise<Halt> {
    const { isInterrupted, slots } = this.#options
    return new Promise((resolve, reject) => {
      const onSlot = (): boolean => {
        try {
          this.#startNext()
          const halt = this.#handOut()
          if (halt === 'no slot') return true
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
    })
  }

  /** Hands out the message that waits for a slot, which is taken. */
  #startNext(): void {
    const { handler, inFlight, onHandedOut } = this.#options
    const message = this.#message as Message
    this.#message = undefined
    inFlight.start(message, this.#records.bodySizeInBytes, this.#key, handler)
    onHandedOut(message.offset + 1)
    this.#hasRecord = this.#records.next()
  }
}

/** Equal where the keys are. Without a key there is no order to keep. */
function orderingKey({ key, offset }: Message, records: RecordCursor): string | number {
  if (typeof key === 'string') return key
  const bytes = records.key
  // The text of the bytes compares where an array, or what a codec makes of it, would not.
  return bytes === null ? offset : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
