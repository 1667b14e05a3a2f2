interface Column {
  readonly title: string
  readonly cells: ReadonlyMap<string, { readonly outcome: 'passed' | 'failed' | 'none'; readonly error?: Error }>
  readonly skipped?: string
  readonly isOptional?: boolean
  readonly broken?: Error
}

/** The outcome in the shape of vitest's JSON report. */
export function testReport(columns: readonly Column[], options: { readonly isRequired: boolean }): object
