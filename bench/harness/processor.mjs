import { QuietProcessor } from './quiet-processor.mjs'

/** That of this process, in which one workload is measured. */
export const processor = new QuietProcessor({ mostMs: 1000, budgetMs: 30_000, mostTries: 12 })
