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

/** The same function under a name that is then on the stack of all that it awaits. */
export function labelled<Arguments extends unknown[]>(
  label: string,
  run: (...given: Arguments) => Promise<void>,
): (...given: Arguments) => Promise<void> {
  const named = async (...given: Arguments): Promise<void> => {
    await run(...given)
  }
  Object.defineProperty(named, 'name', { value: label })
  return named
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
