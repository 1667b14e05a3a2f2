export interface StickyMember {
  readonly memberId: string
}

export interface StickyPartition {
  readonly topic: string
  readonly partition: number
  /** The member that has it. May keep it if it is one of the pool. */
  readonly owner: StickyMember | null
  /** True where somebody holds it, even if it is not known who. */
  readonly isClaimed: boolean
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

/** Of 20,000 random histories one needed three looks, none more. Every result is even: nothing but stickiness hangs on it. */
const MOST_LOOKS = 10

/**
 * Assigns every partition to a member of its pool: `assign` is called once for each.
 *
 * The loads are as even as the subscriptions allow: the sum of their squares is the least there is. What has an owner
 * stays there unless that demands a move. So once the partitions that moved have lost their owners, a second call
 * moves nothing more: the moved ones can be placed as evenly without touching the others, and are placed first. That
 * call is rehearsed here, so that it gives nobody a partition of the pool in which it has lost one.
 */
export function balance<Partition extends StickyPartition>(
  pools: Iterable<Pool<Partition>>,
  assign: (partition: Partition, member: StickyMember) => void,
): void {
  const seats = new Map<StickyMember, Seat>()
  // The pools with the fewest members have the least choice and go first.
  const shared = [...pools].sort((a, b) => a.members.length - b.members.length).map((pool) => share(pool, seats))
  settle(shared, seats)
  for (let looks = 0; looks < MOST_LOOKS && loseAndGain(shared, seats); looks++);
  for (const pool of shared) distribute(pool, assign)
}

/** Finds how many each gets, from what it keeps in any case. */
function settle<Partition extends StickyPartition>(
  pools: readonly SharedPool<Partition>[],
  seats: ReadonlyMap<StickyMember, Seat>,
): void {
  for (const seat of seats.values()) seat.load = seat.shares.reduce((sum, { kept }) => sum + kept, 0)
  for (const { shares } of pools) for (const share of shares) share.count = share.kept
  for (const pool of pools) fill(pool)
  even([...seats.values()], (share) => share.count > share.kept)
  even([...seats.values()], (share) => share.count > 0)
}

/**
 * Settles once more from what the members would hold then: of what they held what they keep, and what nobody held and
 * they get at once. True where one would get another in the place of what it gave up, and is to keep that: then look again.
 */
function loseAndGain<Partition extends StickyPartition>(
  pools: readonly SharedPool<Partition>[],
  seats: ReadonlyMap<StickyMember, Seat>,
): boolean {
  const shares = pools.flatMap((pool) => pool.shares)
  if (shares.every(({ owned, count }) => count >= owned)) return false
  for (const share of shares) share.kept = 0
  for (const pool of pools) {
    distribute(pool, ({ owner, isClaimed }, member) => {
      const share = pool.shareOf.get(member)
      if (share !== undefined && (owner === member || !isClaimed)) share.kept++
    })
  }
  settle(pools, seats)
  return shares.some(({ owned, kept, count }) => kept < owned && count > kept)
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
  /** How many partitions it owned, keeps of them in any case, is to have, and does not have yet. */
  owned: number
  kept: number
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
    const share: Share = { seat, siblings: shares, owned: 0, kept: 0, count: 0, lacking: 0 }
    seat.shares.push(share)
    shares.push(share)
  }
  const shareOf = new Map(shares.map((share) => [share.seat.member, share]))
  for (const { owner } of partitions) {
    const share = owner === null ? undefined : shareOf.get(owner)
    if (share === undefined) continue
    share.owned++
    share.kept++
  }
  return { partitions, shares, shareOf }
}

/** Gives what nobody here keeps to the least loaded members. */
function fill({ partitions, shares }: SharedPool<StickyPartition>): void {
  const kept = shares.reduce((sum, share) => sum + share.kept, 0)
  for (let given = kept; given < partitions.length; given++) {
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
    const difference = share.seat.load - least.seat.load || share.count - share.kept - (least.count - least.kept)
    return difference < 0 ? share : least
  })
}

/** Of equals the last. */
function mostLoaded(seats: Iterable<Seat>): Seat {
  return [...seats].reduce((most, seat) => (seat.load >= most.load ? seat : most))
}
