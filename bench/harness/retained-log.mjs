import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/**
 * A log in memory in a worker, which has a heap of its own: logs of several sizes lie side by side in one process.
 */
export class RetainedLog {
  #worker

  /** Resolves when the log holds so many messages of 100 B. @param {number} messages */
  static async open(messages) {
    const worker = new Worker(new URL('./retained-log-worker.mjs', import.meta.url), { workerData: { messages } })
    const log = new RetainedLog(worker)
    /** How it was filled: messages a second, and what each takes of memory. */
    log.filled = await log.#answer()
    return log
  }

  /** @private */
  constructor(worker) {
    this.#worker = worker
  }

  /** Milliseconds of a full GC. @returns {Promise<number>} */
  collectGarbage() {
    return this.#ask({ kind: 'gc' })
  }

  /** Seconds for reading so many messages, from random places on, in pieces of the log at most. @returns {Promise<number>} */
  replay(messages) {
    return this.#ask({ kind: 'replay', messages })
  }

  /** Microseconds from `seek` to the handler's first message, the median of so many. @returns {Promise<number>} */
  seek(times) {
    return this.#ask({ kind: 'seek', times })
  }

  async close() {
    await this.#worker.terminate()
  }

  #ask(question) {
    this.#worker.postMessage(question)
    return this.#answer()
  }

  /** Rejects with what the worker throws. */
  async #answer() {
    const [answer] = await once(this.#worker, 'message')
    return answer
  }
}
