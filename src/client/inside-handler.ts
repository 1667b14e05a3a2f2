/**
 * Tells whether a call is made inside a handler: `idle` there would wait for itself, and so would `close`.
 *
 * A handler runs in a function that is named after its member, and V8 lists the functions that await, so the name is
 * on the stack of everything that the handler calls or awaits. This costs nothing until somebody asks, where an
 * AsyncLocalStorage would slow down every promise of the process (Node before 24). A call that V8 cannot see a handler
 * wait for is not found, such as one in a timer of the handler's own: a handler that awaits it all the same waits for
 * itself, for ever.
 */
export function handlerLabel(brokerId: string, memberNumber: number): string {
  return `ottla:handler:${brokerId}:${memberNumber}:`
}

/** What every label of a broker's members begins with. */
export function brokerLabel(brokerId: string): string {
  return `ottla:handler:${brokerId}:`
}

/** Gives an async function the name, which is then on the stack of all that it awaits. Returns that function. */
export function labelled<F extends (...given: never[]) => Promise<void>>(label: string, run: F): F {
  return Object.defineProperty(run, 'name', { value: label })
}

export function isInside(label: string): boolean {
  const { stackTraceLimit, prepareStackTrace } = Error
  try {
    Error.stackTraceLimit = 200
    // Whatever the process makes of its stack traces, here they are V8's own.
    Reflect.set(Error, 'prepareStackTrace', undefined)
    return new Error('where').stack?.includes(label) === true
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    Error.prepareStackTrace = prepareStackTrace
  }
}
