import { describe, expect, it } from 'vitest'
import { HandlePool, type PooledFile } from '../../../src/storage/file/handle-pool.js'
import { SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'

/** A pool with room for one file, and two files that want it. */
function crowdedPool() {
  const disk = new SimulatedFileSystem()
  const failures: unknown[] = []
  const file = (name: string, beforeEviction: PooledFile['beforeEviction'] = async () => undefined): PooledFile => {
    const path = `/${name}`
    disk.place(path, Buffer.from(name))
    return { path, beforeEviction, onEvictionFailed: (error) => failures.push(error) }
  }
  return { disk, failures, file, pool: new HandlePool(disk, 1) }
}

describe('a file that leaves the pool to make room', () => {
  it.each(['close', 'beforeEviction'])(
    'tells its owner when its %s fails, and not whoever gets the room',
    async (what) => {
      const { disk, failures, file, pool } = crowdedPool()
      const failing = file('failing', async () => {
        if (what === 'beforeEviction') throw new Error('EIO')
      })
      await pool.use(failing, async () => undefined)
      disk.plan = ({ act, path }) => (what === 'close' && act === 'close' && path === failing.path ? 'EIO' : undefined)
      await pool.use(file('other'), async () => undefined)
      expect(failures).toMatchObject([{ message: expect.stringContaining('EIO') }])
      await pool.closeAll()
      expect(disk.openFiles).toBe(0)
    },
  )

  it.each(['retire', 'closeAll'] as const)('is waited for by %s', async (wait) => {
    const { disk, file, pool } = crowdedPool()
    const order: string[] = []
    let goOn = (): void => undefined
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const slow = file('slow', () => held)
    await pool.use(slow, async () => undefined)
    disk.plan = ({ act }) => {
      order.push(act)
      return undefined
    }
    const other = pool.use(file('other'), async () => undefined)
    const waited = pool[wait](slow).then(() => order.push(wait))
    // A turn, in which one that does not wait would be done.
    await new Promise((resolve) => setImmediate(resolve))
    goOn()
    await Promise.all([other, waited])
    expect(order.indexOf(wait)).toBeGreaterThan(order.indexOf('close'))
    await pool.closeAll()
  })
})
