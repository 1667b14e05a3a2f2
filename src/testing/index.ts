export { ManualClock } from './manual-clock.js'
export { storageSuite, type StorageSuiteOptions } from './storage-suite.js'
