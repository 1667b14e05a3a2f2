import { FileStorage, type FileStorageOptions } from 'ottla'
import { EncodedBatch } from '../../../src/record/encoded-batch.js'
import { readSum } from '../../../src/storage/file/clean-mark.js'
import { offsetPath } from '../../../src/storage/file/layout.js'
import { FileSegment } from '../../../src/storage/file/segment.js'
import type { PartitionStorage, RecoveryReport, TopicPartition } from '../../../src/storage/storage.js'
import { Random } from '../../../src/testing/random.js'
import type { DiskCall, SimulatedFileSystem } from '../../../src/testing/simulated-file-system.js'
import { systemClock } from '../../../src/time/clock.js'
import { batchAt, PLACE } from './file-rig.js'

/** A batch as it must come back. */
interface Kept {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly bytes: Buffer
}

/** What a crash may leave of one log, while a change may be under way. */
interface Allowed {
  /** Whole logs, one of which must be found, save for its ends. */
  readonly views: readonly (readonly Kept[])[]
  /** Every batch below this offset must be there. */
  readonly durableEnd: number
  /** The log may begin with a batch at or above the first, and must with one at or below the second. */
  readonly start: readonly [from: number, to: number]
  /** Sealed segments with gaps, by their base and end: once what follows them is durable their sums are too. */
  readonly withGaps: readonly (readonly [baseOffset: number, endOffset: number])[]
}

/** What a crash may leave of a whole directory. */
interface Expectation {
  readonly logs: ReadonlyMap<string, Allowed>
  /** Partitions that were deleted for good. */
  readonly gone: ReadonlySet<string>
  /** True after a close: nothing is mended when it is opened. */
  readonly isClean: boolean
}

export type Step =
  | 'append'
  | 'append with a gap'
  | 'sync'
  | 'roll'
  | 'roll with a gap'
  | 'drop'
  | 'truncate'
  | 'replace'
  | 'close and open'
  | 'kill and open'
  | 'failed sync, kill and open'
  | 'delete and make anew'

/** Scripts that have something for each sync to save: of gaps, of replacements, of cuts, of removals. */
export const SCRIPTS: Readonly<Record<'gaps' | 'replacements' | 'cuts' | 'removals', readonly Step[]>> = {
  gaps: [
    'append',
    'sync',
    'append',
    'sync',
    'append with a gap',
    'sync',
    'roll',
    'append',
    'sync',
    'roll with a gap',
    'append',
    'sync',
    'append with a gap',
    'sync',
    'roll',
    'append',
    'sync',
  ],
  replacements: [
    'append',
    'append',
    'append',
    'sync',
    'roll',
    'append',
    'append',
    'sync',
    'roll',
    'append',
    'sync',
    'roll',
    'append',
    'sync',
    'replace',
    'append',
    'sync',
    'replace',
    'roll',
    'append',
    'sync',
    'replace',
    'append',
    'sync',
  ],
  cuts: [
    'append',
    'append',
    'append',
    'sync',
    'kill and open',
    'truncate',
    'append',
    'append',
    'sync',
    'kill and open',
    'truncate',
    'append',
    'roll',
    'append',
    'sync',
    'truncate',
    'append',
    'sync',
    'roll',
    'append',
    'sync',
    'kill and open',
    'drop',
    'append',
    'sync',
    'truncate',
    'append',
    'sync',
  ],
  removals: [
    'append',
    'roll',
    'append',
    'roll',
    'append',
    'sync',
    'roll',
    'drop',
    'append',
    'roll',
    'drop',
    'append',
    'roll',
    'drop',
    'append',
    'sync',
    'roll with a gap',
    'drop',
    'append with a gap',
    'sync',
    'roll',
    'drop',
    'append',
    'truncate',
    'append',
    'sync',
  ],
}

/** Each of them, in an order in which each has something to do. */
export const EVERY_STEP: readonly Step[] = [
  'append',
  'sync',
  'append',
  'append',
  'kill and open',
  'append',
  'sync',
  'roll',
  'append with a gap',
  'sync',
  'roll',
  'append',
  'sync',
  'replace',
  'append',
  'sync',
  'close and open',
  'append',
  'sync',
  'roll with a gap',
  'append',
  'sync',
  'failed sync, kill and open',
  'append',
  'sync',
  'drop',
  'append',
  'sync',
  'truncate',
  'append',
  'sync',
  'delete and make anew',
  'append',
  'sync',
  'roll',
  'kill and open',
  'append',
  'sync',
  'close and open',
  'append',
  'sync',
]

const RANDOM_STEPS: readonly Step[] = [
  'append',
  'append',
  'append',
  'append',
  'append',
  'sync',
  'sync',
  'sync',
  'roll',
  'append with a gap',
  'roll with a gap',
  'drop',
  'truncate',
  'replace',
  'close and open',
  'kill and open',
  'failed sync, kill and open',
  'delete and make anew',
]

export function randomSteps(seed: number, count: number): Step[] {
  const random = new Random(seed)
  return Array.from({ length: count }, () => RANDOM_STEPS[random.below(RANDOM_STEPS.length)] ?? 'append')
}

/** A workload has all of these, or the first alone. */
const LOGS: readonly TopicPartition[] = [
  { topic: 'orders', partition: 0 },
  { topic: 'orders', partition: 1 },
]

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

/** A log and what must be in it. */
class LogModel {
  readonly at: TopicPartition
  storage: PartitionStorage | undefined
  view: Kept[] = []
  allowed: Allowed = { views: [[]], durableEnd: 0, start: [0, 0], withGaps: [] }

  constructor(at: TopicPartition) {
    this.at = at
  }

  get log(): PartitionStorage {
    if (this.storage === undefined) throw new Error(`${nameOf(this.at)} is not open`)
    return this.storage
  }

  get endOffset(): number {
    return this.log.segments.at(-1)?.endOffset ?? 0
  }

  get start(): number {
    return this.log.segments[0]?.baseOffset ?? 0
  }

  settle(durableEnd: number = this.allowed.durableEnd): void {
    const { start } = this
    const withGaps = this.log.segments.flatMap((segment): [number, number][] =>
      segment instanceof FileSegment && segment.isSealed && segment.hasGaps
        ? [[segment.baseOffset, segment.endOffset]]
        : [],
    )
    this.allowed = { views: [this.view], durableEnd, start: [start, start], withGaps }
  }
}

/** Runs steps on a simulated disk, and knows at each moment what a crash of it may leave. */
export class CrashWorkload {
  disk: SimulatedFileSystem
  readonly #options: FileStorageOptions
  readonly #random: Random
  readonly #places: readonly TopicPartition[]
  readonly #logs = new Map<string, LogModel>()
  #gone = new Set<string>()
  #isClean = false
  readonly #earlierCalls: DiskCall[] = []
  #storage: FileStorage | undefined
  /** Told whenever the machine may stop: after each call that the disk made. */
  readonly onMoment: (workload: CrashWorkload) => void

  constructor(
    disk: SimulatedFileSystem,
    options: { seed: number; logs?: number; onMoment?: (workload: CrashWorkload) => void } & FileStorageOptions,
  ) {
    const { seed, logs = LOGS.length, onMoment = () => undefined, ...rest } = options
    this.#places = LOGS.slice(0, logs)
    this.#options = rest
    this.#random = new Random(seed)
    this.onMoment = onMoment
    this.disk = disk
    this.#watch(disk)
  }

  /** What a crash may leave now. */
  get expectation(): Expectation {
    const logs = new Map(Array.from(this.#logs, ([name, model]) => [name, model.allowed]))
    return { logs, gone: new Set(this.#gone), isClean: this.#isClean }
  }

  /** Of all disks, the killed ones too. */
  get calls(): DiskCall[] {
    return [...this.#earlierCalls, ...this.disk.calls]
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.#open()
    for (const step of steps) await this.#step(step)
    await this.#close()
  }

  #watch(disk: SimulatedFileSystem): void {
    disk.afterCall = () => this.onMoment(this)
  }

  async #open(): Promise<void> {
    this.#isClean = false
    this.#storage = new FileStorage(PLACE, { ...this.#options, fileSystem: this.disk })
    await this.#storage.open({ clock: systemClock, onRecovery: () => undefined })
    for (const at of this.#places) {
      const name = nameOf(at)
      const model = this.#logs.get(name) ?? new LogModel(at)
      model.storage = await this.#storage.openPartition(at, { indexIntervalBytes: 200 })
      this.#gone.delete(name)
      this.#logs.set(name, model)
      model.view = await everything(model.storage)
      model.settle(model.storage.durableEndOffset)
    }
  }

  async #close(): Promise<void> {
    await this.#storage?.close()
    for (const model of this.#logs.values()) model.settle(Number.MAX_SAFE_INTEGER)
    this.#isClean = true
    this.onMoment(this)
  }

  async #step(step: Step): Promise<void> {
    const model = [...this.#logs.values()][this.#random.below(this.#logs.size)]
    if (model === undefined) return
    const { log } = model
    if (step === 'append' || step === 'append with a gap') await this.#append(model, step === 'append' ? 0 : 3)
    else if (step === 'sync') await this.#sync(model)
    else if (step === 'roll' || step === 'roll with a gap') {
      await log.roll(model.endOffset + (step === 'roll' ? 0 : 5))
      model.settle(log.durableEndOffset)
    } else if (step === 'drop') await this.#drop(model)
    else if (step === 'truncate') await this.#truncate(model)
    else if (step === 'replace') await this.#replace(model)
    else if (step === 'delete and make anew') await this.#deleteAndMake(model)
    else if (step === 'close and open') {
      await this.#close()
      await this.#open()
    } else await this.#kill(step === 'failed sync, kill and open' ? model : undefined)
  }

  async #append(model: LogModel, gap: number): Promise<void> {
    const batches: EncodedBatch[] = []
    let next = model.endOffset + gap
    for (let left = 1 + this.#random.below(3); left > 0; left--) {
      const batch = batchAt(next, 1 + this.#random.below(3), this.#random.below(5) === 0 ? 900 : 40)
      batches.push(batch)
      next = batch.lastOffset + 1
    }
    // Any of it may be there from now on.
    model.view = [...model.view, ...batches.map(kept)]
    model.allowed = { ...model.allowed, views: [model.view] }
    await model.log.append(batches)
  }

  async #sync(model: LogModel): Promise<void> {
    const end = model.endOffset
    await model.log.sync()
    model.settle(end)
  }

  async #drop(model: LogModel): Promise<void> {
    const { log, start } = model
    const count = this.#random.below(log.segments.length)
    const to = log.segments[count]?.baseOffset ?? start
    model.allowed = { ...model.allowed, start: [start, to], withGaps: [] }
    await log.drop(count)
    model.view = model.view.filter(({ baseOffset }) => baseOffset >= to)
    model.settle()
  }

  async #truncate(model: LogModel): Promise<void> {
    const { log, start, endOffset } = model
    const offset = start + this.#random.below(endOffset - start + 1)
    const left = model.view.filter(({ lastOffset }) => lastOffset < offset)
    const { durableEnd } = model.allowed
    model.allowed = { ...model.allowed, durableEnd: Math.min(durableEnd, offset), withGaps: [] }
    await log.truncate(offset)
    model.view = left
    model.settle(Math.min(durableEnd, log.durableEndOffset))
  }

  async #replace(model: LogModel): Promise<void> {
    const { log } = model
    const sealed = log.segments.length - 1
    if (sealed === 0) return
    const first = this.#random.below(sealed)
    const count = 1 + this.#random.below(sealed - first)
    const from = log.segments[first]?.baseOffset ?? 0
    const to = log.segments[first + count]?.baseOffset ?? 0
    const stays = model.view.filter(
      (batch) => batch.baseOffset < from || batch.baseOffset >= to || this.#random.below(2) > 0,
    )
    const batches = stays.filter(({ baseOffset }) => baseOffset >= from && baseOffset < to)
    model.allowed = { ...model.allowed, views: [model.view, stays], withGaps: [] }
    await log.replace(
      first,
      count,
      batches.map(({ bytes }) => new EncodedBatch(new Uint8Array(bytes), 0, bytes.length)),
    )
    model.view = stays
    model.settle()
  }

  async #deleteAndMake(model: LogModel): Promise<void> {
    const name = nameOf(model.at)
    this.#logs.delete(name)
    await this.#storage?.deletePartition(model.at)
    this.#gone.add(name)
    this.onMoment(this)
    const anew = new LogModel(model.at)
    // From here on there may be an empty one again.
    this.#gone.delete(name)
    anew.storage = await this.#storage?.openPartition(model.at, { indexIntervalBytes: 200 })
    this.#logs.set(name, anew)
  }

  /** The process dies, perhaps of a disk that failed once; another one takes over. */
  async #kill(failing: LogModel | undefined): Promise<void> {
    if (failing !== undefined) {
      await this.#append(failing, 0)
      this.disk.plan = ({ act, path }) => (act === 'dataSync' && path.endsWith('.log') ? 'EIO' : undefined)
      await Promise.resolve(failing.log.sync()).catch(() => undefined)
    }
    this.disk.afterCall = () => undefined
    this.#earlierCalls.push(...this.disk.calls)
    const { plan } = this.disk
    const { recordsCallers } = this.disk
    this.disk = this.disk.killProcess()
    this.disk.recordsCallers = recordsCallers
    if (failing === undefined) this.disk.plan = plan
    else this.disk.plan = this.mutation
    this.#watch(this.disk)
    await this.#open()
  }

  /** What the disk does wrong all the time, if anything. */
  mutation: SimulatedFileSystem['plan'] = () => undefined
}

/** Opens a disk that a crash left and throws where something is there that must not be, or is not that must. */
export async function checkCrash(disk: SimulatedFileSystem, expected: Expectation): Promise<void> {
  const reports: RecoveryReport[] = []
  // Looked at first, since opening makes them anew.
  const unsummed: string[] = []
  for (const [name, { withGaps }] of expected.logs) {
    for (const [baseOffset] of withGaps) {
      const path = `${offsetPath(`${PLACE}/${name}`, baseOffset)}.sum`
      if ((await readSum(disk, path, baseOffset)) === undefined) unsummed.push(`${name} ${baseOffset}`)
    }
  }
  const storage = new FileStorage(PLACE, { fileSystem: disk })
  await storage.open({ clock: systemClock, onRecovery: (report) => reports.push(report) })
  const there = new Set((await storage.partitions()).map(nameOf))
  for (const name of expected.gone) if (there.has(name)) throw new Error(`${name} came back`)
  for (const [name, allowed] of expected.logs) {
    const at = LOGS.find((each) => nameOf(each) === name)
    if (at === undefined) continue
    for (const [baseOffset, endOffset] of allowed.withGaps) {
      if (allowed.durableEnd <= endOffset || !unsummed.includes(`${name} ${baseOffset}`)) continue
      throw new Error(`${name} has no sum of its segment at ${baseOffset}, which has gaps`)
    }
    const log = await storage.openPartition(at, { indexIntervalBytes: 200 })
    checkLog(name, await everything(log), log.segments[0]?.baseOffset ?? 0, allowed)
    if (log.durableEndOffset !== (log.segments.at(-1)?.endOffset ?? 0)) throw new Error(`${name} is served undurable`)
    // It must be fit for use, whatever it was made of.
    const end = log.segments.at(-1)?.endOffset ?? 0
    await log.append([batchAt(end, 1, 10)])
    await log.sync()
  }
  if (expected.isClean && reports.length > 0) throw new Error('it was closed, and something was mended')
  if (expected.isClean && !storage.openedCleanly) throw new Error('it was closed, and the mark of that is gone')
  await storage.close()
}

function checkLog(
  name: string,
  found: readonly Kept[],
  start: number,
  { views, durableEnd, start: bounds }: Allowed,
): void {
  const fits = views.some((view) => {
    const first = found[0]
    const from = first === undefined ? view.length : view.findIndex(({ baseOffset }) => baseOffset === first.baseOffset)
    if (found.length > 0 && from < 0) return false
    const expected = found.length > 0 ? view.slice(from, from + found.length) : []
    const isSame = found.every(({ bytes }, at) => expected[at]?.bytes.equals(bytes) === true)
    const mustBegin = view.find(({ baseOffset }) => baseOffset >= bounds[1])
    const beginsInTime =
      mustBegin === undefined ||
      mustBegin.lastOffset >= durableEnd ||
      (first?.baseOffset ?? Infinity) <= mustBegin.baseOffset
    const last = view.filter(({ lastOffset }) => lastOffset < durableEnd).at(-1)
    const reaches =
      last === undefined || last.baseOffset < bounds[1] || (found.at(-1)?.lastOffset ?? -1) >= last.lastOffset
    return isSame && beginsInTime && reaches
  })
  if (!fits || start < bounds[0]) {
    const offsets = (batches: readonly Kept[]): string => batches.map(({ baseOffset }) => baseOffset).join(' ')
    throw new Error(
      `${name} holds [${offsets(found)}] from ${start} on, not one of ${views.map((view) => `[${offsets(view)}]`).join(', ')} that is durable up to ${durableEnd} and begins from ${bounds.join(' to ')} on`,
    )
  }
}

async function everything(log: PartitionStorage): Promise<Kept[]> {
  const found: Kept[] = []
  for (let from = 0; ; ) {
    const batches = await log.read(from, 1 << 20, Number.MAX_SAFE_INTEGER)
    if (batches.length === 0) return found
    for (const batch of batches) {
      found.push({ baseOffset: batch.baseOffset, lastOffset: batch.lastOffset, bytes: Buffer.from(batch.bytes()) })
      from = batch.lastOffset + 1
    }
  }
}

function kept(batch: EncodedBatch): Kept {
  return { baseOffset: batch.baseOffset, lastOffset: batch.lastOffset, bytes: Buffer.from(batch.bytes()) }
}
