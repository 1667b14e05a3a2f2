import type { JoinGroupRequest, JoinGroupResult, MemberProtocol, SyncGroupResult } from './group-requests.js'
import type { PendingAnswer } from './pending-answer.js'

export const NO_BYTES: Uint8Array = new Uint8Array(0)

/** One member, as its group keeps it. Only the group writes to it. */
export class GroupMember {
  readonly instanceId: string | null
  readonly protocolType: string
  /** Changes when a static member comes back. */
  memberId: string
  clientId: string
  clientHost: string
  protocols: readonly MemberProtocol[]
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  assignment: Uint8Array = NO_BYTES
  /** Until its first generation: it knows no id yet, so it cannot show signs of life. */
  isNew = true
  /** Its request to join, while the group gathers its members. */
  joining: PendingAnswer<JoinGroupResult> | null = null
  /** Its request for an assignment, while the leader makes them. */
  syncing: PendingAnswer<SyncGroupResult> | null = null
  readonly heartbeats: Set<PendingAnswer<void>> = new Set()
  cancelSession: () => void = () => {}

  constructor(memberId: string, request: JoinGroupRequest) {
    this.memberId = memberId
    this.instanceId = request.instanceId
    this.protocolType = request.protocolType
    this.clientId = request.clientId
    this.clientHost = request.clientHost
    this.protocols = copyProtocols(request.protocols)
    this.sessionTimeoutMs = request.sessionTimeoutMs
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs
  }

  update(request: JoinGroupRequest): void {
    this.clientId = request.clientId
    this.clientHost = request.clientHost
    this.protocols = copyProtocols(request.protocols)
    this.sessionTimeoutMs = request.sessionTimeoutMs
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs
  }

  /** True where a request brings the same protocols in the same order, with the same bytes. */
  hasProtocols(protocols: readonly MemberProtocol[]): boolean {
    return (
      protocols.length === this.protocols.length &&
      this.protocols.every((mine, index) => {
        const other = protocols[index]
        return other !== undefined && mine.name === other.name && sameBytes(mine.metadata, other.metadata)
      })
    )
  }

  supports(protocolName: string): boolean {
    return this.protocols.some((protocol) => protocol.name === protocolName)
  }

  metadataFor(protocolName: string | null): Uint8Array {
    return this.protocols.find((protocol) => protocol.name === protocolName)?.metadata ?? NO_BYTES
  }

  /** Rejects whatever it waits for. */
  rejectPending(error: unknown): void {
    this.joining?.reject(error)
    this.joining = null
    this.syncing?.reject(error)
    this.syncing = null
    this.rejectHeartbeats(error)
  }

  rejectHeartbeats(error: unknown): void {
    for (const heartbeat of this.heartbeats) heartbeat.reject(error)
    this.heartbeats.clear()
  }
}

/** Requests come as views of memory that their sender writes again. */
function copyProtocols(protocols: readonly MemberProtocol[]): readonly MemberProtocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: new Uint8Array(metadata) }))
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index])
}
