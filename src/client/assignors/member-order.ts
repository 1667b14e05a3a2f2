import type { AssignorMember } from './assignor.js'

/**
 * Kafka's order of members: the static ones first, by instance id, then the others by member id. A static member that
 * restarts gets a new member id, so only its instance id keeps its place.
 */
export function inMemberOrder(members: readonly AssignorMember[]): AssignorMember[] {
  return [...members].sort((a, b) => {
    if (a.instanceId !== null && b.instanceId !== null) return compare(a.instanceId, b.instanceId)
    if (a.instanceId !== null) return -1
    if (b.instanceId !== null) return 1
    return compare(a.memberId, b.memberId)
  })
}

/** Static or not, by member id alone. */
export function inMemberIdOrder(members: readonly AssignorMember[]): AssignorMember[] {
  return [...members].sort((a, b) => compare(a.memberId, b.memberId))
}

/** By UTF-16 code units, as Java compares strings: every leader must come to the same order. */
function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
