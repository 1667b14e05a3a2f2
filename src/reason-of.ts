/** What was thrown, in words. Anything can be thrown, also what has no text. */
export function reasonOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown)
  } catch {
    return `an ${typeof thrown} without a text`
  }
}
