import { type Histogram, LatencyHistogram } from './latency-histogram.js'

/** What the members of one group have done in this process, since the broker opened. */
export interface GroupCounts {
  /** Commits that were written, each for one or more partitions, and how long they took to be durable. */
  commits: Histogram
  /** Commits that were refused or failed. */
  commitFailures: number
  /** Rebalances that members of this process took part in, from joining to having their assignment. */
  rebalances: Histogram
  /** Handlers that took too long. */
  stalls: number
  /** Tries that failed and were followed by another, of a message or a batch. */
  retries: number
  /** Messages that were put in a dead-letter topic. */
  deadLetters: number
  /** Messages whose tries were used up, and that were skipped as `onExhausted` says. */
  skipped: number
}

/** Counted per commit and per rebalance, never per message. Members come and go; the counts of their group stay. */
export class GroupCounters {
  readonly commits: LatencyHistogram = new LatencyHistogram()
  readonly rebalances: LatencyHistogram = new LatencyHistogram()
  commitFailures = 0
  stalls = 0
  retries = 0
  deadLetters = 0
  skipped = 0

  snapshot(): GroupCounts {
    return {
      commits: this.commits.snapshot(),
      commitFailures: this.commitFailures,
      rebalances: this.rebalances.snapshot(),
      stalls: this.stalls,
      retries: this.retries,
      deadLetters: this.deadLetters,
      skipped: this.skipped,
    }
  }
}
