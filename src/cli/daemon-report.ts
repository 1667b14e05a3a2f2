/** What a server in the background tells the process that started it: once, where it listens or why it does not. */
export type DaemonReport = { readonly listening: readonly string[] } | { readonly failure: string }

/** Set for the server in the background: another parent with a channel is told nothing. */
export const DAEMON_VARIABLE = 'OTTLA_DAEMON'

/** Does nothing in a server in the foreground. Afterwards the two processes have nothing to do with each other. */
export function reportToParent(report: DaemonReport): void {
  if (process.env[DAEMON_VARIABLE] === undefined || process.send === undefined || !process.connected) return
  // The parent may be gone, which is nobody's concern.
  process.send(report, () => {
    if (process.connected) process.disconnect()
  })
}
