import { OttlaError } from '../errors.js'

/** The errors that a group answers its members with, each worded once. */

export function unknownMember(groupId: string, memberId: string): OttlaError {
  return new OttlaError(
    'OTTLA_UNKNOWN_MEMBER_ID',
    `Group '${groupId}' has no member '${memberId}': it left, its session ended, or it never joined. Join again without a member id.`,
  )
}

export function fencedInstance(groupId: string, instanceId: string | null): OttlaError {
  return new OttlaError(
    'OTTLA_FENCED_INSTANCE_ID',
    `Another member of group '${groupId}' has joined as instance '${instanceId}' and taken its place. Give each running member an instance id of its own.`,
  )
}

export function illegalGeneration(groupId: string, generationId: number, current: number): OttlaError {
  return new OttlaError(
    'OTTLA_ILLEGAL_GENERATION',
    `Generation ${generationId} of group '${groupId}' is over, the current one is ${current}. Join again.`,
  )
}

export function rebalanceInProgress(groupId: string): OttlaError {
  return new OttlaError(
    'OTTLA_REBALANCE_IN_PROGRESS',
    `Group '${groupId}' is rebalancing. Join it again to take part in the next generation.`,
  )
}

export function inconsistentProtocol(groupId: string, why: string): OttlaError {
  return new OttlaError(
    'OTTLA_INCONSISTENT_GROUP_PROTOCOL',
    `Group '${groupId}' refuses the member: ${why}. Let all members of a group share one protocol type and at least one assignor.`,
  )
}

export function groupNotFound(groupId: string): OttlaError {
  return new OttlaError(
    'OTTLA_GROUP_NOT_FOUND',
    `There is no group '${groupId}': it has neither members nor committed offsets. Check its id.`,
  )
}

export function groupNotEmpty(groupId: string): OttlaError {
  return new OttlaError(
    'OTTLA_GROUP_NOT_EMPTY',
    `Group '${groupId}' still has members. Close them before the group is deleted.`,
  )
}

export function groupSubscribed(groupId: string, topic: string): OttlaError {
  return new OttlaError(
    'OTTLA_GROUP_SUBSCRIBED_TO_TOPIC',
    `Members of group '${groupId}' subscribe to topic '${topic}', so its offsets stay. Close these members first.`,
  )
}

export function coordinatorClosed(): OttlaError {
  return new OttlaError('OTTLA_CLOSED', 'The broker is closed, and its groups with it. Open it again to go on.')
}

/** Carries the id under which the member is to join. */
export class MemberIdRequiredError extends OttlaError {
  readonly memberId: string

  constructor(groupId: string, memberId: string) {
    super(
      'OTTLA_MEMBER_ID_REQUIRED',
      `Group '${groupId}' has given the member an id, '${memberId}'. Join again with it.`,
    )
    this.memberId = memberId
  }
}

/** The id that an OTTLA_MEMBER_ID_REQUIRED of any loaded copy of ottla carries, undefined for any other error. */
export function requiredMemberId(error: unknown): string | undefined {
  if (!OttlaError.is(error) || error.code !== 'OTTLA_MEMBER_ID_REQUIRED') return undefined
  return 'memberId' in error && typeof error.memberId === 'string' ? error.memberId : undefined
}
