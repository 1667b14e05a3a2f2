import { OttlaError } from '../../errors.js'
import { TEMPORARY_SUFFIX } from './layout.js'
import type { DirectoryLock } from './lock.js'

/**
 * The few calls that a file storage makes to a disk. Nothing else in it touches one, so that a test can stand in for a
 * disk that fails. Errors are Node's own, with their `code`.
 */
export interface FileSystem {
  /** Opens a file, which is the caller's to close. */
  open(path: string, mode: OpenMode): Promise<OpenFile>
  /** What is at `path`, or undefined where there is nothing. */
  stat(path: string): Promise<FileStatus | undefined>
  /** What is in a directory, in no particular order. */
  list(directory: string): Promise<DirectoryEntry[]>
  /** Makes the directory and those above it that are missing. Returns the topmost one that it made. */
  makeDirectory(path: string): Promise<string | undefined>
  /** Removes an empty directory. */
  removeDirectory(path: string): Promise<void>
  /** Takes the place of what is at `to`, in one step. */
  rename(from: string, to: string): Promise<void>
  /** Removes a name; what is open stays readable. */
  unlink(path: string): Promise<void>
  /** Makes the names in a directory survive a power cut: those that were added, renamed and removed. */
  syncDirectory(path: string): Promise<void>
  /** Takes hold of a directory until released or until the process dies, whichever is first. */
  lock(directory: string, sinceMs: number): Promise<DirectoryLock>
}

/** `read` and `update` take a file that exists, `create` only one that does not, `replace` empties what is there. */
export type OpenMode = 'read' | 'update' | 'create' | 'replace'

/** What is known of a path without opening it. */
export interface FileStatus {
  /** Of a directory, whatever the system says. */
  readonly sizeInBytes: number
  /** True for a directory, false for a file. */
  readonly isDirectory: boolean
}

/** A name in a directory. */
export interface DirectoryEntry {
  /** Without the directory. */
  readonly name: string
  /** True for a directory, false for a file. */
  readonly isDirectory: boolean
}

/** Positions are explicit: a retry or a cut after a failed write then hits the place that was meant. */
export interface OpenFile {
  /** Reads up to `length` bytes into target[start, start + length). Returns how many there were; 0 at the end. */
  read(target: Uint8Array, start: number, length: number, position: number): Promise<number>
  /** Writes source[start, start + length). Returns how many bytes it took, which may be fewer. */
  write(source: Uint8Array, start: number, length: number, position: number): number | Promise<number>
  /** Cuts the file there, or lengthens it with zeros. */
  truncate(sizeInBytes: number): Promise<void>
  /** Makes what was written survive a power cut. Not the name of a new file: `syncDirectory` does that. */
  dataSync(): Promise<void>
  /** Lets go of the file. */
  close(): Promise<void>
}

/** Writes all of source[start, end), however many calls that takes. */
export async function writeAll(
  file: OpenFile,
  source: Uint8Array,
  start: number,
  end: number,
  position: number,
): Promise<void> {
  for (let at = start; at < end; ) {
    const written = await file.write(source, at, end - at, position + at - start)
    if (written === 0) throw new Error(`a write of ${end - at} bytes wrote nothing`)
    at += written
  }
}

/** Reads `length` bytes, or as many as there are. Returns how many. */
export async function readAll(file: OpenFile, target: Uint8Array, length: number, position: number): Promise<number> {
  let filled = 0
  while (filled < length) {
    const count = await file.read(target, filled, length - filled, position + filled)
    if (count === 0) break
    filled += count
  }
  return filled
}

/** The content of a small file, or undefined where there is none. */
export async function readFile(fileSystem: FileSystem, path: string): Promise<Uint8Array | undefined> {
  const status = await fileSystem.stat(path)
  if (status === undefined) return undefined
  const file = await fileSystem.open(path, 'read')
  try {
    const content = new Uint8Array(status.sizeInBytes)
    return content.subarray(0, await readAll(file, content, content.length, 0))
  } finally {
    await file.close()
  }
}

/** Writes a file that may be lost or torn by a power cut, since it is a cache; or whose content survives one. */
export async function writeFile(
  fileSystem: FileSystem,
  path: string,
  content: Uint8Array,
  how: 'cached' | 'synced' = 'cached',
): Promise<void> {
  const file = await fileSystem.open(path, 'replace')
  try {
    await writeAll(file, content, 0, content.length, 0)
    if (how === 'synced') await file.dataSync()
  } finally {
    await file.close()
  }
}

/** Puts a file in its place whole and for good: after a power cut there is the old one or the new one. */
export async function writeFileAtomically(fileSystem: FileSystem, path: string, content: Uint8Array): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX
  await writeFile(fileSystem, temporary, content, 'synced')
  await fileSystem.rename(temporary, path)
}

/** Removes a file, if there is one. */
export async function removeIfThere(fileSystem: FileSystem, path: string): Promise<void> {
  try {
    await fileSystem.unlink(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}

/** Node's code of a failed call, such as ENOSPC. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/**
 * The error that a caller sees for a call to the disk that failed; `what` names the act and the file. It is `retriable`
 * where the caller has taken back what was begun.
 */
export function diskError(error: unknown, what: string, retriable = false): OttlaError {
  if (OttlaError.is(error)) return error
  const code = errorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new OttlaError(
      'OTTLA_STORAGE_FULL',
      `${what} failed since the disk is full (${code}). Free space and try again.`,
      {
        cause: error,
      },
    )
  }
  return new OttlaError(
    'OTTLA_STORAGE_FAILED',
    `${what} failed (${code ?? String(error)}). Check the disk and the permissions.`,
    {
      cause: error,
      retriable,
    },
  )
}
