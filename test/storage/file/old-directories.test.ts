import { cpSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FileStorage, json, Topic } from 'ottla'
import { describe, expect, it } from 'vitest'
import { brokers, contentsOf } from '../../client/brokers.js'
import { temporaryDirectories } from './file-rig.js'

const openBroker = brokers()
const directory = temporaryDirectories()
const orders = new Topic('orders', { partitions: 2, value: json<{ number: number }>() })

// Made by scripts/make-fixture-directory.mjs with the release that first wrote the layout. They are never made again.
const fixtures = fileURLToPath(new URL('../../fixtures/directories', import.meta.url))
const kept = readdirSync(fixtures).flatMap((layout) =>
  readdirSync(join(fixtures, layout)).map((state) => `${layout}/${state}`),
)

function copyOf(fixture: string): string {
  const place = directory()
  cpSync(join(fixtures, fixture), place, { recursive: true })
  return place
}

function files(place: string): Map<string, Buffer> {
  const names = readdirSync(place, { recursive: true, encoding: 'utf8' }).sort()
  return new Map(
    names.filter((name) => statSync(join(place, name)).isFile()).map((name) => [name, readFileSync(join(place, name))]),
  )
}

describe('a directory of an earlier release', () => {
  it('is kept for each layout, closed and killed', () => {
    expect(kept).toEqual(['layout-1/closed', 'layout-1/killed', 'layout-2/closed', 'layout-2/killed'])
  })

  it.each(kept)('opens with all that it held, and goes on: %s', async (fixture) => {
    const place = copyOf(fixture)
    for (let time = 0; time < 3; time++) {
      const broker = await openBroker({ storage: new FileStorage(place, { segmentBytes: 1024 }) })
      expect(broker.recovery.filter(({ kind }) => kind !== 'rewritten-tail')).toEqual([])
      if (fixture.endsWith('closed') || time > 0) expect(broker.recovery).toEqual([])
      expect(await broker.topics()).toEqual(['empty', 'orders'])
      await broker.topic(orders)
      const messages = await contentsOf(broker, orders)
      const numbers = messages.map(({ value }) => value.number).sort((a, b) => a - b)
      expect(numbers).toEqual(Array.from({ length: 40 + time }, (_, number) => number))
      expect(messages[0]).toMatchObject({ partition: 0, offset: 0, key: 'key-0' })
      expect((await broker.describeGroup('billing')).lag.map(({ committedOffset }) => committedOffset)).toEqual([7, 7])
      await broker.producer().send(orders, { value: { number: 40 + time }, partition: 0 })
      await broker.close()
    }
  })

  it.each(kept)('can be looked at without a change: %s', async (fixture) => {
    const place = copyOf(fixture)
    const before = files(place)
    const broker = await openBroker({ storage: new FileStorage(place, { readOnly: true }) })
    expect(await contentsOf(broker, orders)).toHaveLength(40)
    await broker.close()
    expect(files(place)).toEqual(before)
  })
})
