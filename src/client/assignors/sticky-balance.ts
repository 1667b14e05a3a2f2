export interface StickyMember {
  readonly memberId: string
}

export interface StickyPartition {
  readonly topic: string
  readonly partition: number
  /** The member that has it. May keep it if it is one of the pool. */
  readonly owner: StickyMember | null
}

/**
 * The partitions of all topics that have the same subscribers. Any of its members may get any of its partitions, so
 * it is enough to settle how many each gets: which ones follows.
 */
export interface Pool<Partition extends StickyPartition> {
  /** By member id; at least one. */
  readonly members: readonly StickyMember[]
  /** By topic and partition. */
  readonly partitions: readonly Partition[]
}

/**
 * Assigns every partition to a member of its pool: `assign` is called once for each.
 *
 * The loads are as even as the subscriptions allow: the sum of their squares is the least there is. What has an owner
 * stays there unless that demands a move. So once the partitions that moved have lost their owners, a second call
 * moves nothing more: the moved ones can be placed as evenly without touching the others, and are placed first.
 */
export function balance<Partition extends StickyPartition>(
  pools: Iterable<Pool<Partition>>,
  assign: (partition: Partition, member: StickyMember) => void,
): void {
  const seats = new Map<StickyMember, Seat>()
  // The pools with the fewest members have the least choice and go first.
  const shared = [...pools].sort((a, b) => a.members.length - b.members.length).map((pool) => share(pool, seats))
  for (const pool of shared) fill(pool)
  even([...seats.values()], (share) => share.count > share.owned)
  even([...seats.values()], (share) => share.count > 0)
  for (const pool of shared) distribute(pool, assign)
}

/** A member with its part in each of its pools. */
interface Seat {
  readonly member: StickyMember
  readonly shares: Share[]
  /** How many partitions it is to have, of all pools. */
  load: number
}

/** What one member gets of one pool. */
interface Share {
  readonly seat: Seat
  /** Its pool. */
  readonly siblings: readonly Share[]
  /** How many partitions it owned, is to have, and does not have yet. */
  owned: number
  count: number
  lacking: number
}

interface SharedPool<Partition> {
  readonly partitions: readonly Partition[]
  readonly shares: readonly Share[]
  readonly shareOf: ReadonlyMap<StickyMember | null, Share>
}

function share<Partition extends StickyPartition>(
  { members, partitions }: Pool<Partition>,
  seats: Map<StickyMember, Seat>,
): SharedPool<Partition> {
  const shares: Share[] = []
  for (const member of members) {
    const seat = seats.get(member) ?? { member, shares: [], load: 0 }
    seats.set(member, seat)
    const share: Share = { seat, siblings: shares, owned: 0, count: 0, lacking: 0 }
    seat.shares.push(share)
    shares.push(share)
  }
  const shareOf = new Map(shares.map((share) => [share.seat.member, share]))
  for (const { owner } of partitions) {
    const share = owner === null ? undefined : shareOf.get(owner)
    if (share === undefined) continue
    share.owned++
    share.count++
    share.seat.load++
  }
  return { partitions, shares, shareOf }
}

/** Gives what nobody here owns to the least loaded members. */
function fill<Partition extends StickyPartition>({ partitions, shares, shareOf }: SharedPool<Partition>): void {
  for (const { owner } of partitions) {
    if (shareOf.has(owner)) continue
    const receiver = leastLoaded(shares)
    receiver.count++
    receiver.seat.load++
  }
}

/** Lets the most loaded members give, of what `canGive` allows, until no giving makes the loads more even. */
function even(seats: readonly Seat[], canGive: (share: Share) => boolean): void {
  // Each time the sum of the squared loads gets smaller, so this ends.
  for (let improved = true; improved; ) {
    improved = false
    const donors = new Set(seats)
    while (donors.size > 0) {
      const donor = mostLoaded(donors)
      const leastLoad = seats.reduce((least, { load }) => Math.min(least, load), donor.load)
      if (donor.load <= leastLoad + 1) break
      if (passOn(donor, leastLoad, canGive)) improved = true
      else donors.delete(donor)
    }
  }
}

/** One step of a partition's worth of load within a pool. */
interface Step {
  readonly giver: Share
  readonly taker: Share
}

/**
 * Moves one partition's worth of load from the donor to the least loaded member it can reach, if that is more even:
 * where the two share no pool, over others that take one of one pool and give one of another, and stay as loaded.
 */
function passOn(donor: Seat, leastLoad: number, canGive: (share: Share) => boolean): boolean {
  const stepTo = new Map<Seat, Step>()
  const receiver = leastLoadedFrom(donor, leastLoad, canGive, stepTo)
  if (donor.load <= receiver.load + 1) return false
  donor.load--
  receiver.load++
  for (let step = stepTo.get(receiver); step !== undefined; step = stepTo.get(step.giver.seat)) {
    step.taker.count++
    step.giver.count--
  }
  return true
}

/** Goes over the pools breadth first, so that few members take part, and enters into `stepTo` how each was reached. */
function leastLoadedFrom(
  donor: Seat,
  leastLoad: number,
  canGive: (share: Share) => boolean,
  stepTo: Map<Seat, Step>,
): Seat {
  const seenPools = new Set<readonly Share[]>()
  let receiver = donor
  const reached = [donor]
  for (const seat of reached) {
    for (const giver of seat.shares) {
      if (seenPools.has(giver.siblings) || !canGive(giver)) continue
      seenPools.add(giver.siblings)
      for (const taker of giver.siblings) {
        if (taker.seat === donor || stepTo.has(taker.seat)) continue
        stepTo.set(taker.seat, { giver, taker })
        if (taker.seat.load === leastLoad) return taker.seat
        if (taker.seat.load < receiver.load) receiver = taker.seat
        reached.push(taker.seat)
      }
    }
  }
  return receiver
}

/**
 * Settles which ones. An owner that cannot keep all keeps the lowest partition numbers, as in Java. The rest is dealt
 * in turn to those that lack some, so that neighbouring partitions spread.
 */
function distribute<Partition extends StickyPartition>(
  { partitions, shares, shareOf }: SharedPool<Partition>,
  assign: (partition: Partition, member: StickyMember) => void,
): void {
  for (const share of shares) share.lacking = share.count
  const kept = new Set<Partition>()
  for (const partition of [...partitions].sort((a, b) => a.partition - b.partition)) {
    const share = shareOf.get(partition.owner)
    if (share === undefined || share.lacking === 0) continue
    share.lacking--
    kept.add(partition)
    assign(partition, share.seat.member)
  }

  const rest = partitions.filter((partition) => !kept.has(partition))
  let next = 0
  while (next < rest.length) {
    for (const share of shares) {
      const partition = rest[next]
      if (partition === undefined || share.lacking === 0) continue
      share.lacking--
      next++
      assign(partition, share.seat.member)
    }
  }
}

/** Of equals the one that gained least, then the first: so what is left over goes to the members as in Java. */
function leastLoaded(shares: readonly Share[]): Share {
  return shares.reduce((least, share) => {
    const difference = share.seat.load - least.seat.load || share.count - share.owned - (least.count - least.owned)
    return difference < 0 ? share : least
  })
}

/** Of equals the last. */
function mostLoaded(seats: Iterable<Seat>): Seat {
  return [...seats].reduce((most, seat) => (seat.load >= most.load ? seat : most))
}
