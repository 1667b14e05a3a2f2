import type { Clock } from '../time/clock.js'
import type { Engine } from './engine.js'

/**
 * How an entry point other than the main one reaches what a broker stands on. A key of `Symbol.for` and no private
 * field, since an app may have loaded the two from different copies of ottla.
 */
export const ENGINE: unique symbol = Symbol.for('ottla.engine') as never

export interface EngineHolder {
  readonly [ENGINE]: HeldEngine
}

export interface HeldEngine {
  readonly engine: Engine
  readonly clock: Clock
}

/** Undefined for what is no broker. */
export function engineOf(holder: unknown): HeldEngine | undefined {
  if (typeof holder !== 'object' || holder === null || !(ENGINE in holder)) return undefined
  // Whoever has the key has it from a copy of this file.
  return (holder as EngineHolder)[ENGINE]
}
