import type { FileSystem } from './file-system.js'

/** A disk of which nothing is changed, whatever is asked: what would, fails as on a file system that is mounted so. */
export function readOnlyFileSystem(fileSystem: FileSystem): FileSystem {
  const refuse =
    (call: string) =>
    async (path: string): Promise<never> => {
      throw Object.assign(new Error(`EROFS: ${call} '${path}': the storage was opened with readOnly`), {
        code: 'EROFS',
      })
    }
  return {
    open: async (path, mode) => {
      if (mode === 'create' || mode === 'replace') return refuse('open')(path)
      return fileSystem.open(path, 'read')
    },
    stat: (path) => fileSystem.stat(path),
    list: (directory) => fileSystem.list(directory),
    makeDirectory: refuse('mkdir'),
    removeDirectory: refuse('rmdir'),
    rename: refuse('rename'),
    unlink: refuse('unlink'),
    syncDirectory: refuse('fsync'),
    lock: async () => ({ release: async () => undefined }),
  }
}
