export type { Engine } from '../engine/engine.js'
export { type EngineSuiteOptions, engineSuite } from './engine-suite.js'
export { ManualClock } from './manual-clock.js'
export { type StorageSuiteOptions, type SuiteTest, storageSuite } from './storage-suite.js'
