/** One key of a properties file, in the file's order; a key that is set twice is there twice. */
export interface Property {
  readonly key: string
  readonly value: string
  /** Where it begins, counted from 1. */
  readonly line: number
}

/** A file that is no properties file. The message names the line. */
export class MalformedProperties extends Error {
  readonly line: number

  constructor(line: number, problem: string) {
    super(problem)
    this.line = line
  }
}

/**
 * Reads Java's properties syntax as java.util.Properties does:
 *
 *   file      = { blank | comment | property }, each ended by LF, CR or CR LF
 *   comment   = [ ws ] ( "#" | "!" ) ...                       it is never continued
 *   property  = [ ws ] key ( [ ws ] ( "=" | ":" ) [ ws ] | ws ) value
 *   ws        = { space | tab | form feed }
 *
 * A backslash at the end of a line joins the next one without its leading blanks. Elsewhere it takes the next character
 * as it is, but for \t, \n, \r, \f and \uXXXX. Blanks at the end of a value belong to it.
 */
export function parseProperties(text: string): Property[] {
  return Array.from(logicalLines(text), propertyOf)
}

/** UTF-8, with or without a byte order mark. Text that is not is refused where a key or value holds it. */
export function decodeProperties(bytes: Uint8Array): Property[] {
  try {
    return parseProperties(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof MalformedProperties) throw error
  }
  // Comments in another encoding do no harm.
  const properties = parseProperties(new TextDecoder().decode(bytes))
  const garbled = properties.find(({ key, value }) => (key + value).includes('\ufffd'))
  if (garbled !== undefined)
    throw new MalformedProperties(garbled.line, 'The line is not UTF-8: save the file as UTF-8')
  return properties
}

interface LogicalLine {
  readonly text: string
  readonly line: number
}

const EMPTY = { text: '', isContinued: false, line: 1 }

/** What continuation lines have made of the file's lines, without comments and blank lines. */
function* logicalLines(text: string): Generator<LogicalLine> {
  let open = EMPTY
  for (const [index, natural] of text
    .replace(/[\r\n]$/, '')
    .split(/\r\n|\r|\n/)
    .entries()) {
    const trimmed = natural.replace(/^[ \t\f]+/, '')
    // As in Java, a line of which nothing but its backslash was there joins a comment as if it were not there.
    if (open.text === '') {
      const isContinuation = open.isContinued
      open = { ...EMPTY, line: isContinuation ? open.line : index + 1 }
      if (trimmed === '' || /^[#!]/.test(trimmed)) continue
    }
    const isContinued = endsInBackslash(trimmed)
    open = { ...open, text: open.text + (isContinued ? trimmed.slice(0, -1) : trimmed), isContinued }
    if (isContinued) continue
    yield open
    open = EMPTY
  }
  // Java takes a backslash that is all that is left for a key without letters.
  if (open.isContinued) yield open
}

function endsInBackslash(line: string): boolean {
  const [backslashes = ''] = /\\*$/.exec(line) ?? []
  return backslashes.length % 2 === 1
}

const KEY_AND_VALUE = /^((?:\\.|[^\\=: \t\f])*)(?:[ \t\f]*[=:])?[ \t\f]*(.*)$/s

function propertyOf({ text, line }: LogicalLine): Property {
  const [, key = '', value = ''] = KEY_AND_VALUE.exec(text) ?? []
  return { key: unescaped(key, line), value: unescaped(value, line), line }
}

const ESCAPED: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescaped(text: string, line: number): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|.|$)/gs, (_, sequence: string) => {
    if (sequence === 'u') throw new MalformedProperties(line, 'Behind \\u there have to be four hexadecimal digits')
    if (sequence.length > 1) return String.fromCharCode(Number.parseInt(sequence.slice(1), 16))
    return ESCAPED[sequence] ?? sequence
  })
}
