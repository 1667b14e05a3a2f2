import { OttlaError } from '../errors.js'
import type { ActiveGroup } from '../group/group-coordinator.js'
import type { TopicPartition } from '../storage/storage.js'
import type { Clock } from '../time/clock.js'
import { assignedPartitions } from './assigned-partitions.js'
import type { ClientListener } from './client.js'
import { type AnyGroup, commitDue, isStatic, memberId, memberProgress, takeUnheardFailure } from './consumer-group.js'
import { throwUncaught } from './events.js'
import type { ProgressView } from './member-progress.js'
import { CONSUMER_PROTOCOL_TYPE } from './membership.js'
import { partitionName } from './partition-name.js'
import { type Producer, pendingSends } from './producer.js'

interface Outstanding {
  /** What is still to be done, in words. */
  readonly what: readonly string[]
  /** True where only the passing of time brings any of it on. */
  readonly waitsForTime: boolean
}

/** What the embedded engine knows at once, and what it tells of. */
export interface IdleView extends ProgressView {
  activeGroups(): ReadonlyMap<string, ActiveGroup>
  extentOf(at: Readonly<TopicPartition>): { logStartOffset: number; logEndOffset: number } | undefined
  committedOffset(groupId: string, at: Readonly<TopicPartition>): number
  watchGroups(listener: () => void): void
}

/**
 * Waits until nothing is left to do: every send is settled, and every group with a member has handled and committed
 * everything. It looks when something happened that may have brought it nearer; nothing is polled. Of a member that came
 * over the wire only what it committed can be known.
 */
export class IdleWatch implements ClientListener {
  readonly #clock: Clock
  readonly #view: IdleView
  readonly #producers = new Set<Producer>()
  readonly #members = new Set<AnyGroup>()
  /** Members that a failure stopped, until another member of their group runs or the group is deleted. */
  readonly #failed = new Map<AnyGroup, OttlaError>()
  readonly #wakers = new Set<() => void>()
  /** Ids of static members that have closed: their places are kept, and nobody is in them. */
  readonly #absent = new Set<string>()
  /** Rises whenever something happens. */
  #progress = 0
  #waiting = 0
  #isClosed = false

  constructor(clock: Clock, view: IdleView) {
    this.#clock = clock
    this.#view = view
    view.watchGroups(this.onProgress)
  }

  readonly onProgress = (): void => {
    this.#progress++
    for (const wake of this.#wakers) wake()
  }

  onProducer(producer: Producer): void {
    this.#producers.add(producer)
  }

  onProducerClosed(producer: Producer): void {
    this.#producers.delete(producer)
    this.onProgress()
  }

  onRun(member: AnyGroup): void {
    this.#members.add(member)
    this.#forgetFailed(member.id)
    this.onProgress()
  }

  onEnd(member: AnyGroup, failure: OttlaError | undefined): void {
    this.#members.delete(member)
    if (isStatic(member)) {
      // Or those that come and go would add up where nobody calls `idle`.
      this.#forgetAbsent(this.#view.activeGroups())
      this.#absent.add(memberId(member))
    }
    if (failure !== undefined) this.#failed.set(member, failure)
    this.onProgress()
  }

  onGroupDeleted(groupId: string): void {
    this.#forgetFailed(groupId)
    this.onProgress()
  }

  onClose(): void {
    this.#isClosed = true
    this.onProgress()
  }

  hearsFailures(): boolean {
    return this.#waiting > 0
  }

  /** `groups` must have a member before it resolves. */
  async wait(groups: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    this.#waiting++
    try {
      await this.#wait(groups, signal)
    } finally {
      this.#waiting--
      // It may have ended for another reason than these.
      if (this.#waiting === 0) for (const member of this.#failed.keys()) tellUnheard(member)
    }
  }

  async #wait(groups: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    let last: 'done' | 'stuck' | undefined
    let lastProgress = -1
    for (;;) {
      if (this.#isClosed) throw closed()
      const progress = this.#progress
      const { what, waitsForTime } = await this.#look(groups)
      if (signal?.aborted === true) throw aborted(what, signal)
      const now = what.length === 0 ? 'done' : waitsForTime && this.#clock.manual ? 'stuck' : undefined
      // What was settled a moment ago may be sending more: only a second look, in a later turn, counts.
      if (now !== undefined && now === last && progress === lastProgress) {
        if (now === 'done') return
        throw neverIdle(what)
      }
      last = now
      lastProgress = progress
      if (now === undefined && progress === this.#progress) await this.#nextProgress(signal)
      await this.#clock.nextTurn()
    }
  }

  async #look(groups: readonly string[]): Promise<Outstanding> {
    const found: Outstanding[] = []
    for (const producer of this.#producers) {
      const { count, waitForTime } = pendingSends(producer)
      if (count > 0) found.push({ what: [`${count} messages are being sent`], waitsForTime: waitForTime })
    }
    const active = this.#view.activeGroups()
    this.#forgetAbsent(active)
    const running = new Set<string>()
    const present = new Set<string>()
    for (const member of this.#members) {
      running.add(member.id)
      present.add(memberId(member))
      const { outstanding, waitsForTime, needsCommit } = memberProgress(member, active.get(member.id), this.#view)
      if (outstanding.length === 0) continue
      if (needsCommit) commitDue(member)
      found.push({ what: outstanding.map((what) => `group ${member.id}: ${what}`), waitsForTime })
    }
    for (const [groupId, group] of active) {
      const others = group.members.filter((member) => !present.has(member.memberId))
      const elsewhere = others.filter((member) => !this.#absent.has(member.memberId))
      if (elsewhere.length > 0) running.add(groupId)
      if (!running.has(groupId) || others.length === 0) continue
      const what = this.#unhandled(groupId, { ...group, members: others })
      if (what.length > 0) found.push({ what, waitsForTime: elsewhere.length === 0 && group.state === 'Stable' })
    }
    for (const groupId of groups) {
      if (!running.has(groupId)) found.push({ what: [`group ${groupId} has no member yet`], waitsForTime: false })
    }
    for (const [member, failure] of this.#failed) {
      const lag = running.has(member.id) ? [] : await member.lag()
      const isUnheard = takeUnheardFailure(member) !== undefined
      if (isUnheard || lag.some((at) => at.lag > 0)) throw groupStopped(member.id, failure)
    }
    return {
      what: found.flatMap(({ what }) => what),
      waitsForTime: found.length > 0 && found.every(({ waitsForTime }) => waitsForTime),
    }
  }

  /** What members that are not of this process, or absent, have not committed of what the group gave them. */
  #unhandled(groupId: string, { state, protocolType, members }: ActiveGroup): string[] {
    if (state !== 'Stable') return [`group ${groupId}: partitions are being assigned`]
    if (protocolType !== CONSUMER_PROTOCOL_TYPE) return []
    const what: string[] = []
    for (const { memberId: id, assignment } of members) {
      for (const at of knownPartitions(assignment)) {
        const extent = this.#view.extentOf(at)
        if (extent === undefined) continue
        const committed = Math.max(this.#view.committedOffset(groupId, at), extent.logStartOffset)
        if (committed >= extent.logEndOffset) continue
        what.push(
          `group ${groupId}: ${partitionName(at)} offset ${committed} is to be committed up to ${extent.logEndOffset} by member ${id}`,
        )
      }
    }
    return what
  }

  /** Of those whose places are gone there is nothing to remember. */
  #forgetAbsent(active: ReadonlyMap<string, ActiveGroup>): void {
    if (this.#absent.size === 0) return
    const known = new Set([...active.values()].flatMap(({ members }) => members.map((member) => member.memberId)))
    for (const id of this.#absent) if (!known.has(id)) this.#absent.delete(id)
  }

  #nextProgress(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#wakers.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }

  /** A failure counts until another member of the group runs, or the group is deleted. */
  #forgetFailed(groupId: string): void {
    for (const member of this.#failed.keys()) {
      if (member.id !== groupId) continue
      this.#failed.delete(member)
      tellUnheard(member)
    }
  }
}

/** None where the bytes are not those of the consumer protocol: what such a member does cannot be known. */
function knownPartitions(assignment: Uint8Array): TopicPartition[] {
  try {
    return assignedPartitions(assignment)
  } catch (error) {
    if (OttlaError.is(error)) return []
    throw error
  }
}

/** Where a wait had promised to hear of the failure, and is not going to. */
function tellUnheard(member: AnyGroup): void {
  const failure = takeUnheardFailure(member)
  if (failure !== undefined) throwUncaught(failure)
}

function closed(): OttlaError {
  return new OttlaError('OTTLA_CLOSED', 'The broker was closed, so idle() can wait no longer: call it before close()')
}

function aborted(what: readonly string[], { reason }: AbortSignal): OttlaError {
  return new OttlaError('OTTLA_NEVER_IDLE', `idle() was aborted. Outstanding: ${list(what)}`, { cause: reason })
}

function neverIdle(what: readonly string[]): OttlaError {
  return new OttlaError(
    'OTTLA_NEVER_IDLE',
    `Only time could help, and the manual clock stands still: advance it. Outstanding: ${list(what)}`,
  )
}

function groupStopped(groupId: string, cause: OttlaError): OttlaError {
  return new OttlaError(
    'OTTLA_GROUP_STOPPED',
    `Group ${groupId} was stopped by a failure and has messages left: ${cause.message}`,
    { cause },
  )
}

function list(what: readonly string[]): string {
  if (what.length === 0) return 'nothing'
  const shown = what.slice(0, 10).join('; ')
  return what.length > 10 ? `${shown}; and ${what.length - 10} more` : shown
}
