import { OttlaError, type Producer, type ProducerOptions } from 'ottla'
import { BatchPool } from '../../src/client/open-batch.js'
import { createProducer } from '../../src/client/producer.js'
import { ProducerCounters } from '../../src/client/producer-counters.js'
import { ProducerIds } from '../../src/client/producer-identity.js'
import { TopicDirectory } from '../../src/client/topic-directory.js'
import type { Engine, ProduceRequest, ProduceResult } from '../../src/engine/engine.js'
import type { Clock } from '../../src/time/clock.js'

/**
 * What becomes of one call of `produce`: it goes through; it fails and appends nothing; it is appended and its
 * acknowledgement is lost. With an error of its own, it fails with that.
 */
export type Fate = 'pass' | 'fail' | 'lose' | Error

/** An engine whose `produce` fails as it is told to. */
export class FaultyEngine {
  /** Asked for each call, which are counted from 0. */
  fate: (call: number) => Fate = () => 'pass'
  calls = 0
  /** Of each call, how many were under way with it when it began. */
  readonly underWayAt: number[] = []
  #underWay = 0
  readonly engine: Engine

  constructor(engine: Engine) {
    this.engine = new Proxy(engine, {
      get: (target, name) => {
        if (name === 'produce') return (request: ProduceRequest) => this.#produce(target, request)
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  producer(clock: Clock, options?: ProducerOptions): Producer {
    const { engine } = this
    const counters = new ProducerCounters()
    const [topics, ids, batches] = [new TopicDirectory(engine), new ProducerIds(engine), new BatchPool()]
    const context = { engine, clock, topics, ids, counters, batches, onProgress: () => {}, onClose: () => {} }
    return createProducer(context, options)
  }

  async #produce(engine: Engine, request: ProduceRequest): Promise<ProduceResult> {
    const fate = this.fate(this.calls++)
    this.underWayAt.push(++this.#underWay)
    try {
      if (fate === 'pass') return await engine.produce(request)
      if (fate === 'lose') await engine.produce(request)
      throw fate instanceof Error ? fate : unreachable()
    } finally {
      this.#underWay--
    }
  }
}

function unreachable(): OttlaError {
  return new OttlaError('OTTLA_STORAGE_FAILED', 'It cannot be reached', { retriable: true })
}

/** Calls in this order, and what passes behind them. */
export function fates(...given: Fate[]): (call: number) => Fate {
  return (call) => given[call] ?? 'pass'
}
