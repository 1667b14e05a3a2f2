export type { Engine } from '../engine/engine.js'
export type { DirectoryEntry, FileStatus, FileSystem, OpenFile, OpenMode } from '../storage/file/file-system.js'
export type { DirectoryLock } from '../storage/file/lock.js'
export type { Kept } from './crash-choices.js'
export { type EngineSuiteOptions, engineSuite } from './engine-suite.js'
export { ManualClock } from './manual-clock.js'
export {
  type CrashState,
  type CrashStateOptions,
  type DiskCall,
  type DiskFault,
  SimulatedFileSystem,
} from './simulated-file-system.js'
export { type StorageSuiteOptions, type SuiteTest, storageSuite } from './storage-suite.js'
