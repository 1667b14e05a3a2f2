import type { Kept } from './crash-choices.js'

/** A file of a simulated disk: what a process reads, and what would survive. */
export interface FileNode {
  readonly kind: 'file'
  /** What a process reads: the first `sizeInBytes` of it. */
  content: Uint8Array
  sizeInBytes: number
  /** What survives a power cut for sure. */
  durable: Uint8Array
  /** What was done since the last sync, in order. */
  changes: FileChange[]
  /** Stretches that a sync failed for: no later sync is for them, unless they are written again. */
  lost: [from: number, to: number][]
}

export type FileChange =
  | {
      readonly kind: 'write'
      readonly order: number
      readonly position: number
      readonly bytes: Uint8Array
      readonly sizeInBytes: number
    }
  | { readonly kind: 'truncate'; readonly order: number; readonly length: number; readonly sizeInBytes: 0 }

export interface DirectoryNode {
  readonly kind: 'directory'
  entries: Map<string, FileNode | DirectoryNode>
  durable: Map<string, FileNode | DirectoryNode>
  changes: EntryChange[]
}

/** A name that went, one that came, or both at once. */
export interface EntryChange {
  readonly order: number
  readonly removed: string | undefined
  readonly added: string | undefined
  readonly node: FileNode | DirectoryNode | undefined
  readonly sizeInBytes: 0
}

export function newFile(): FileNode {
  return { kind: 'file', content: new Uint8Array(0), sizeInBytes: 0, durable: new Uint8Array(0), changes: [], lost: [] }
}

export function newDirectory(): DirectoryNode {
  return { kind: 'directory', entries: new Map(), durable: new Map(), changes: [] }
}

export function writeFile(node: FileNode, bytes: Uint8Array, position: number, order: number): void {
  const end = position + bytes.length
  if (end > node.content.length) {
    const larger = new Uint8Array(Math.max(end, node.content.length * 2))
    larger.set(node.content.subarray(0, node.sizeInBytes))
    node.content = larger
  }
  if (position > node.sizeInBytes) node.content.fill(0, node.sizeInBytes, position)
  node.content.set(bytes, position)
  node.sizeInBytes = Math.max(node.sizeInBytes, end)
  node.changes.push({ kind: 'write', order, position, bytes: bytes.slice(), sizeInBytes: bytes.length })
  node.lost = node.lost.flatMap(([from, to]): [number, number][] =>
    [[from, Math.min(to, position)] as [number, number], [Math.max(from, end), to] as [number, number]].filter(
      ([left, right]) => left < right,
    ),
  )
}

export function truncateFile(node: FileNode, length: number, order: number): void {
  if (length > node.sizeInBytes) writeFile(node, new Uint8Array(length - node.sizeInBytes), node.sizeInBytes, order)
  else {
    node.sizeInBytes = length
    node.changes.push({ kind: 'truncate', order, length, sizeInBytes: 0 })
    node.lost = node.lost
      .map(([from, to]): [number, number] => [from, Math.min(to, length)])
      .filter(([from, to]) => from < to)
  }
}

/** Makes the content survive, save for what an earlier sync lost. */
export function syncFile(node: FileNode): void {
  const durable = node.content.slice(0, node.sizeInBytes)
  for (const [from, to] of node.lost) {
    durable.fill(0, from, to)
    durable.set(node.durable.subarray(from, Math.min(to, node.durable.length)), Math.min(from, durable.length))
  }
  node.durable = durable
  node.changes.length = 0
}

/** What the changes that a crash may take are, in the order in which they were made. */
export function pendingChanges(root: DirectoryNode): (FileChange | EntryChange)[] {
  const changes: (FileChange | EntryChange)[] = []
  const seen = new Set<FileNode | DirectoryNode>()
  const visit = (node: FileNode | DirectoryNode): void => {
    if (seen.has(node)) return
    seen.add(node)
    changes.push(...node.changes)
    if (node.kind === 'file') return
    // What a name led to before it was changed may be what is left.
    for (const child of node.durable.values()) visit(child)
    for (const { node: child } of node.changes) if (child !== undefined) visit(child)
    for (const child of node.entries.values()) visit(child)
  }
  visit(root)
  return changes.sort((a, b) => a.order - b.order)
}

/** A disk of its own that is in the same state. */
export function cloned(root: DirectoryNode): DirectoryNode {
  const clones = new Map<FileNode | DirectoryNode, FileNode | DirectoryNode>()
  const clone = (node: FileNode | DirectoryNode): FileNode | DirectoryNode => {
    const known = clones.get(node)
    if (known !== undefined) return known
    if (node.kind === 'file') {
      const file: FileNode = {
        ...node,
        content: node.content.slice(),
        durable: node.durable.slice(),
        changes: [...node.changes],
        lost: node.lost.map(([from, to]) => [from, to]),
      }
      clones.set(node, file)
      return file
    }
    const directory = newDirectory()
    clones.set(node, directory)
    for (const [name, child] of node.entries) directory.entries.set(name, clone(child))
    for (const [name, child] of node.durable) directory.durable.set(name, clone(child))
    directory.changes = node.changes.map((change) => ({ ...change, node: change.node && clone(change.node) }))
    return directory
  }
  const copy = clone(root)
  return copy.kind === 'directory' ? copy : newDirectory()
}

/** What is left of a disk when the power fails and `keep` says what of each unsynced change is kept. */
export function survivor(root: DirectoryNode, keep: (order: number) => Kept): DirectoryNode {
  const survivors = new Map<FileNode | DirectoryNode, FileNode | DirectoryNode>()
  const survive = (node: FileNode | DirectoryNode): FileNode | DirectoryNode => {
    const known = survivors.get(node)
    if (known !== undefined) return known
    if (node.kind === 'file') {
      const file = newFile()
      survivors.set(node, file)
      file.durable = survivingBytes(node, keep)
      file.content = file.durable.slice()
      file.sizeInBytes = file.content.length
      return file
    }
    const directory = newDirectory()
    survivors.set(node, directory)
    const entries = new Map(node.durable)
    for (const { order, removed, added, node: child } of node.changes) {
      if (keep(order) === 'none') continue
      if (removed !== undefined) entries.delete(removed)
      if (added !== undefined && child !== undefined) entries.set(added, child)
    }
    for (const [name, child] of entries) directory.entries.set(name, survive(child))
    directory.durable = new Map(directory.entries)
    return directory
  }
  const left = survive(root)
  return left.kind === 'directory' ? left : newDirectory()
}

/** Disks write sectors of this size whole or not at all. */
const SECTOR_BYTES = 512

function survivingBytes(node: FileNode, keep: (order: number) => Kept): Uint8Array {
  let bytes = node.durable.slice()
  const grow = (length: number): void => {
    if (length <= bytes.length) return
    const larger = new Uint8Array(length)
    larger.set(bytes)
    bytes = larger
  }
  for (const change of node.changes) {
    const kept = keep(change.order)
    if (kept === 'none') continue
    if (change.kind === 'truncate') {
      if (change.length <= bytes.length) bytes = bytes.slice(0, change.length)
      continue
    }
    const { position } = change
    if (kept === 'all' || 'bytes' in kept) {
      const part = kept === 'all' ? change.bytes : change.bytes.subarray(0, kept.bytes)
      grow(position + part.length)
      bytes.set(part, position)
      continue
    }
    // The size of the file may be there before its sectors are.
    grow(position + change.bytes.length)
    for (let at = 0; at < change.bytes.length; ) {
      const sector = Math.floor((position + at) / SECTOR_BYTES)
      const end = Math.min((sector + 1) * SECTOR_BYTES - position, change.bytes.length)
      if (kept.sectors(sector)) bytes.set(change.bytes.subarray(at, end), position + at)
      at = end
    }
  }
  return bytes
}
