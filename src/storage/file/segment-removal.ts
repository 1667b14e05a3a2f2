import { removeIfThere } from './file-system.js'
import { DELETED_SUFFIX } from './layout.js'
import type { Disk, FileSegment } from './segment.js'

/*
 * How a segment leaves a log: what is said of it goes, its file gets a name that means nothing, that is synced, its
 * indexes go, and at last the file itself. A crash in between leaves what the next open removes.
 */

/** Takes the files of a segment out of the log, for good before it resolves. Reads under way keep theirs. */
export async function putAway(disk: Disk, directory: string, segment: FileSegment): Promise<void> {
  await renameAway(disk, segment)
  await disk.fileSystem.syncDirectory(directory)
  await releaseFiles(disk, segment)
}

/** Until the directory is synced a power cut may bring it back. */
export async function renameAway(disk: Disk, segment: FileSegment): Promise<void> {
  await removeSayings(disk, segment)
  await disk.fileSystem.rename(segment.path, segment.path + DELETED_SUFFIX)
}

/** A sum or durable mark speaks of bytes that must be there. */
export async function removeSayings(disk: Disk, segment: FileSegment): Promise<void> {
  await removeIfThere(disk.fileSystem, segment.sumPath)
  await removeIfThere(disk.fileSystem, segment.durablePath)
}

export async function releaseFiles(disk: Disk, segment: FileSegment): Promise<void> {
  // Nothing is left to lose in it, so that closing fails is nobody's concern.
  void disk.handles.retire(segment).catch(() => undefined)
  for (const path of segment.indexPaths) await removeIfThere(disk.fileSystem, path)
}

export async function unlinkAway(disk: Disk, segment: FileSegment): Promise<void> {
  await disk.fileSystem.unlink(segment.path + DELETED_SUFFIX)
}
