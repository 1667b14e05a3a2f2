import { expect, it } from 'vitest'
import { Cancellation } from '../src/cancellation.js'

it('tells each listener once, in order, and says why', () => {
  const told: string[] = []
  const cancellation = new Cancellation()
  const gone = (): void => void told.push('gone')
  cancellation.signal.addEventListener('abort', () => told.push('one'))
  cancellation.signal.addEventListener('abort', gone)
  cancellation.signal.addEventListener('abort', () => told.push('two'))
  cancellation.signal.removeEventListener('abort', gone)
  expect([cancellation.signal.aborted, cancellation.signal.reason]).toEqual([false, undefined])
  cancellation.abort()
  cancellation.abort()
  expect(told).toEqual(['one', 'two'])
  expect(cancellation.signal.aborted).toBe(true)
  expect(cancellation.signal.reason).toBeInstanceOf(Error)
  expect(cancellation.signal.reason).toBe(cancellation.signal.reason)
})

it('never tells whoever listens after the abort, as an AbortSignal does not', () => {
  const cancellation = new Cancellation()
  cancellation.abort()
  cancellation.signal.addEventListener('abort', () => expect.unreachable())
  cancellation.abort()
})
