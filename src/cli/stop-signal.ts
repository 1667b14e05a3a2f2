import { constants } from 'node:os'

/** What ends a server. */
export interface StopSignal {
  /** Resolves with the name of the first signal; the second one ends the process. */
  readonly signalled: Promise<string>
  /** Leaves signals to Node again. */
  forget(): void
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/** Listens from now on, so that a signal which comes while a broker opens closes it when it is open. */
export function onStopSignal(): StopSignal {
  let resolve: (signal: string) => void = () => undefined
  const signalled = new Promise<string>((resolveSignal) => {
    resolve = resolveSignal
  })
  let isSecond = false
  const onSignal = (signal: NodeJS.Signals): void => {
    // What a shell says of a process that a signal ended.
    if (isSecond) process.exit(128 + (constants.signals[signal] ?? 0))
    isSecond = true
    resolve(signal)
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  return {
    signalled,
    forget: () => {
      for (const signal of SIGNALS) process.off(signal, onSignal)
    },
  }
}
