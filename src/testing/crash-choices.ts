import { Random } from './random.js'

/** What of an unsynced change a power cut keeps; a change of a name is kept whole or not at all. */
export type Kept =
  | 'all'
  | 'none'
  /** The first bytes of a write. */
  | { readonly bytes: number }
  /** Some sectors of a write, the rest being zeros or what was there before. */
  | { readonly sectors: (sector: number) => boolean }

export interface CrashChoice {
  readonly name: string
  readonly keep: (change: number) => Kept
}

/** The ways in which changes of these sizes may be kept; a size of 0 is a change of a name or a length. */
export function* crashChoices(sizes: readonly number[], random: number, seed: number): Generator<CrashChoice> {
  const count = sizes.length
  yield { name: 'nothing of what was not synced', keep: () => 'none' }
  if (count === 0) return
  yield { name: 'all that was written', keep: () => 'all' }
  for (let kept = 0; kept < count; kept++) {
    if (kept > 0) yield { name: `the first ${kept} of ${count} changes`, keep: (at) => (at < kept ? 'all' : 'none') }
    for (const [name, part] of tears(sizes[kept] ?? 0)) {
      yield {
        name: `the first ${kept} of ${count} changes, and of the next ${name}`,
        keep: (at) => (at < kept ? 'all' : at === kept ? part : 'none'),
      }
    }
    if (count > 1) {
      yield { name: `all of ${count} changes but number ${kept}`, keep: (at) => (at === kept ? 'none' : 'all') }
    }
  }
  for (let each = 0; each < random; each++) {
    const choices = randomChoices(sizes, new Random(seed * 1000 + each))
    yield { name: `random choice ${each} of seed ${seed}`, keep: (at) => choices[at] ?? 'none' }
  }
}

function tears(size: number): [name: string, kept: Kept][] {
  if (size === 0) return []
  const parts: [string, Kept][] = [
    ['its first byte', { bytes: 1 }],
    ['half of its bytes', { bytes: size >> 1 }],
    ['all but its last byte', { bytes: size - 1 }],
    ['nothing but zeros', { sectors: () => false }],
  ]
  if (size > 512) {
    parts.push(['every other sector', { sectors: (sector) => sector % 2 === 0 }])
    parts.push(['every other sector, beginning with the second', { sectors: (sector) => sector % 2 === 1 }])
  }
  return parts
}

function randomChoices(sizes: readonly number[], random: Random): Kept[] {
  return sizes.map((size): Kept => {
    const dice = random.below(size === 0 ? 2 : 6)
    if (dice === 0) return 'none'
    if (dice === 1 || dice === 5) return 'all'
    if (dice === 2) return { bytes: random.below(size + 1) }
    const salt = random.below(2 ** 31)
    return { sectors: (sector) => new Random(salt + sector).below(dice === 3 ? 2 : 4) > 0 }
  })
}
