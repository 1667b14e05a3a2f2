import { setMaxListeners } from 'node:events'
import { OttlaError } from '../errors.js'

/** What a handler is told besides the message. */
export interface Delivery {
  /** The group's id. */
  readonly group: string
  /** 1 for the first try. */
  readonly attempt: number
  /**
   * Aborts when the partition is lost or the member closes; made when first asked for. A handler that then throws the
   * signal's reason, or another AbortError, gives its message back: it is no failure. Nor is one whose commit is then
   * refused because the partition is not this member's any more.
   */
  readonly signal: AbortSignal
}

/** What a commit is refused for when its partition was lost. */
const LOST: ReadonlySet<string> = new Set([
  'OTTLA_FENCED_INSTANCE_ID',
  'OTTLA_ILLEGAL_GENERATION',
  'OTTLA_UNKNOWN_MEMBER_ID',
])

/** One for all messages of a partition: what it says is the same for each first try. */
export class PartitionDelivery implements Delivery {
  readonly group: string
  readonly attempt = 1
  #controller: AbortController | undefined
  #isAborted = false
  #isLost = false

  constructor(group: string) {
    this.group = group
  }

  /** True where another member may have the partition already. */
  get isLost(): boolean {
    return this.#isLost
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      // One signal for all messages of a partition, and Node takes more than ten listeners for a leak.
      setMaxListeners(0, this.#controller.signal)
      if (this.#isAborted) this.#controller.abort()
    }
    return this.#controller.signal
  }

  /** `isLost` where another member may have the partition already. */
  abort(isLost: boolean): void {
    this.#isAborted = true
    this.#isLost ||= isLost
    this.#controller?.abort()
  }

  /** True for what a handler throws because it heeded the signal, or came too late with its commit. */
  isAbort(error: unknown): boolean {
    if (this.#isAborted && OttlaError.is(error) && LOST.has(error.code)) return true
    const signal = this.#controller?.signal
    if (signal?.aborted !== true) return false
    return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
  }
}

/** Of a try that is not the first. */
export class RetriedDelivery implements Delivery {
  readonly group: string
  readonly attempt: number
  readonly #partition: PartitionDelivery

  constructor(partition: PartitionDelivery, attempt: number) {
    this.group = partition.group
    this.attempt = attempt
    this.#partition = partition
  }

  get signal(): AbortSignal {
    return this.#partition.signal
  }
}
