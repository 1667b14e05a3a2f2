import { describe, expect, it } from 'vitest'
import { Slots } from '../../src/client/slots.js'

describe('Slots', () => {
  const never = new AbortController().signal

  it('gives what is free at once, then to those who wait in their order', async () => {
    const slots = new Slots(1)
    expect(slots.acquire(never)).toBe(true)
    const order: number[] = []
    const waiting = [1, 2].map(async (place) => {
      await slots.acquire(never)
      order.push(place)
    })
    slots.release()
    slots.release()
    await Promise.all(waiting)
    expect(order).toEqual([1, 2])
  })

  it('passes over who has given up', async () => {
    const slots = new Slots(0)
    const controller = new AbortController()
    const first = slots.acquire(controller.signal)
    const second = slots.acquire(never)
    controller.abort()
    slots.release()
    expect(await Promise.all([first, second])).toEqual([false, true])
    slots.release()
    expect(slots.acquire(never)).toBe(true)
  })

  it('calls who waits for one after the other within the release, behind those who came since', async () => {
    const slots = new Slots(0)
    const order: string[] = []
    let wanted = 3
    slots.wait(() => {
      order.push('again')
      return --wanted > 0
    })
    slots.release()
    expect(order).toEqual(['again'])
    const other = slots.acquire(never)
    slots.release()
    expect(order).toEqual(['again', 'again'])
    slots.release()
    expect(await other).toBe(true)
    slots.release()
    expect(order).toEqual(['again', 'again', 'again'])
    slots.release()
    expect(slots.tryAcquire()).toBe(true)
    expect(order).toHaveLength(3)
  })

  it('calls nobody who has left', () => {
    const slots = new Slots(0)
    const waiter = (): boolean => {
      throw new Error('It has left')
    }
    slots.wait(waiter)
    slots.leave(waiter)
    slots.release()
    expect(slots.tryAcquire()).toBe(true)
  })
})
