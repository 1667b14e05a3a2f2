import { describe, expect, it } from 'vitest'
import { type QueuedSend, SendQueue } from '../../src/client/send-queue.js'

interface Waiting extends QueuedSend {
  readonly name: string
}

const waiting = (name: string, signal?: AbortSignal): Waiting => ({ name, bytes: name.length, signal })

function queue(): [SendQueue<Waiting>, aborted: string[]] {
  const aborted: string[] = []
  return [new SendQueue<Waiting>(({ name }, reason) => aborted.push(`${name}: ${reason}`)), aborted]
}

describe('a queue of sends', () => {
  it('lets them out in the order in which they came', () => {
    const [sends] = queue()
    for (const name of ['a', 'b', 'c']) sends.push(waiting(name))
    const left: string[] = []
    for (let first = sends.first; first !== undefined; first = sends.first) {
      left.push(first.name)
      sends.shift()
    }
    sends.shift()
    expect([left, sends.size]).toEqual([['a', 'b', 'c'], 0])
    sends.push(waiting('d'))
    expect([sends.first?.name, sends.size]).toEqual(['d', 1])
  })

  it('knows how many there are, and how many bytes', () => {
    const [sends] = queue()
    const aborting = new AbortController()
    sends.push(waiting('one'))
    sends.push(waiting('three', aborting.signal))
    expect([sends.size, sends.bytes]).toEqual([2, 8])
    aborting.abort()
    expect([sends.size, sends.bytes]).toEqual([1, 3])
    sends.shift()
    expect([sends.size, sends.bytes]).toEqual([0, 0])
  })

  it('lets go of those whose signal aborts, wherever they stand, and tells of each once', () => {
    const [sends, aborted] = queue()
    const aborting = new AbortController()
    for (const name of ['a', 'B', 'c', 'D', 'E']) {
      sends.push(waiting(name, name < 'a' ? aborting.signal : undefined))
    }
    sends.shift()
    aborting.abort('enough')
    expect(aborted).toEqual(['B: enough', 'D: enough', 'E: enough'])
    expect([sends.first?.name, sends.size]).toEqual(['c', 1])
  })

  it('has let go of all whose signal aborted before it tells of the first', () => {
    const left: (string | undefined)[] = []
    const sends = new SendQueue<Waiting>(() => left.push(sends.first?.name))
    const aborting = new AbortController()
    for (const name of ['a', 'b']) sends.push(waiting(name, aborting.signal))
    sends.push(waiting('c'))
    sends.whenPassed(() => left.push('passed'))
    aborting.abort()
    expect(left).toEqual(['c', 'c'])
    sends.shift()
    expect(left).toEqual(['c', 'c', 'passed'])
  })

  it('listens to a signal once however many share it, and no longer than they wait', () => {
    const [sends] = queue()
    const signal = new CountedSignal()
    for (let n = 0; n < 100; n++) sends.push(waiting('a', signal.signal))
    expect(signal.listeners).toBe(1)
    while (sends.first !== undefined) sends.shift()
    expect(signal.listeners).toBe(0)
    sends.push(waiting('a', signal.signal))
    signal.abort()
    expect(signal.listeners).toBe(0)
  })

  it('says when those that wait now have left, not those that come later', () => {
    const [sends] = queue()
    let passed = 0
    sends.whenPassed(() => passed++)
    expect(passed).toBe(1)
    sends.push(waiting('a'))
    sends.push(waiting('b'))
    sends.whenPassed(() => passed++)
    sends.push(waiting('c'))
    sends.shift()
    expect(passed).toBe(1)
    sends.shift()
    expect([passed, sends.first?.name]).toEqual([2, 'c'])
  })

  it('still waits for those before, when the last of them is aborted', () => {
    const [sends] = queue()
    const aborting = new AbortController()
    let passed = 0
    sends.push(waiting('a'))
    sends.push(waiting('b', aborting.signal))
    sends.push(waiting('c', aborting.signal))
    sends.whenPassed(() => passed++)
    aborting.abort()
    expect(passed).toBe(0)
    sends.shift()
    expect(passed).toBe(1)
  })
})

/** A signal that counts its listeners. */
class CountedSignal {
  readonly #controller = new AbortController()
  readonly signal: AbortSignal = this.#controller.signal
  listeners = 0

  constructor() {
    const add = this.signal.addEventListener.bind(this.signal)
    const remove = this.signal.removeEventListener.bind(this.signal)
    this.signal.addEventListener = (...args: Parameters<typeof add>) => {
      this.listeners++
      add(...args)
    }
    this.signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      this.listeners--
      remove(...args)
    }
  }

  abort(): void {
    this.#controller.abort()
  }
}
