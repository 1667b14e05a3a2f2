/**
 * Tells whether a call is made inside a handler: `idle` there would wait for itself, and so would `close`.
 *
 * A handler runs in a function that is named after its member, and V8 lists the functions that await, so the name is
 * on the stack of everything that the handler calls or awaits. This costs nothing until somebody asks, where an
 * AsyncLocalStorage would slow down every promise of the process (Node before 24). A handler that hides the call from
 * V8, in a timer of its own for example, is not found: such a call is not awaited by the handler either.
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
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 200
  const { stack } = new Error('where')
  Error.stackTraceLimit = stackTraceLimit
  return stack?.includes(label) === true
}
