import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type FailureOptions, RetryPolicy } from '../../src/client/retry.js'

const waits = (options: FailureOptions, count: number, random?: () => number): (number | undefined)[] => {
  const policy = new RetryPolicy(options, random)
  return Array.from({ length: count }, (_, index) => policy.retryInMs(new Error('no'), index + 1))
}

describe('the wait before the next try', () => {
  it('is over after so many attempts, of which the first try is one', () => {
    expect(waits({}, 2)).toEqual([undefined, undefined])
    expect(waits({ retry: { attempts: 1 } }, 2)).toEqual([undefined, undefined])
    expect(waits({ retry: { attempts: 3 } }, 4)).toEqual([100, 200, undefined, undefined])
  })

  it('doubles from a tenth of a second up to half a minute, unless told otherwise', () => {
    expect(waits({ retry: { attempts: Number.POSITIVE_INFINITY } }, 11)).toEqual([
      100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000,
    ])
    const backoff = { initialMs: 10, factor: 3, maxMs: 100 }
    expect(waits({ retry: { attempts: 9, backoff } }, 4)).toEqual([10, 30, 90, 100])
    expect(waits({ retry: { attempts: 9, backoff: { initialMs: 5, factor: 1 } } }, 3)).toEqual([5, 5, 5])
    const endless = new RetryPolicy({ retry: { attempts: Number.POSITIVE_INFINITY, backoff: { initialMs: 0 } } })
    expect(endless.retryInMs('', 5000)).toBe(0)
  })

  it('is what a function says of the try that failed', () => {
    expect(waits({ retry: { attempts: 4, backoff: (attempt) => attempt * 7 } }, 3)).toEqual([7, 14, 21])
  })

  it('loses up to the share that jitter says, whatever the chance', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.integer({ min: 1, max: 2000 }),
        (jitter, chance, attempt) => {
          const retry = { attempts: 5000, backoff: { initialMs: 100, maxMs: 1000, jitter } }
          const whole = new RetryPolicy({ retry: { ...retry, backoff: { initialMs: 100, maxMs: 1000 } } })
          const waitMs = new RetryPolicy({ retry }, () => chance).retryInMs('', attempt) as number
          const wholeMs = whole.retryInMs('', attempt) as number
          expect(waitMs).toBeLessThanOrEqual(wholeMs)
          expect(waitMs).toBeGreaterThanOrEqual(wholeMs * (1 - jitter) - 1e-9)
        },
      ),
    )
  })

  it('is none for an error of which retryIf says that no try would help', () => {
    const policy = new RetryPolicy({ retry: { attempts: 3, retryIf: (error) => error !== 'bad input' } })
    expect(policy.retryInMs('no network', 1)).toBe(100)
    expect(policy.retryInMs('bad input', 1)).toBe(undefined)
  })

  it('is refused where a function of the user throws, or names no time', () => {
    const policyOf = (backoff: () => number): RetryPolicy => new RetryPolicy({ retry: { attempts: 2, backoff } })
    for (const waitMs of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      expect(() => policyOf(() => waitMs).retryInMs('', 1)).toThrow('The function backoff of retry returned')
    }
    const broken = (): never => {
      throw new Error('broken')
    }
    expect(() => policyOf(broken).retryInMs('', 1)).toThrow('The function backoff of retry threw: broken')
    const policy = new RetryPolicy({ retry: { attempts: 2, retryIf: broken } })
    expect(() => policy.retryInMs('', 1)).toThrow('The function retryIf of retry threw: broken')
  })
})
