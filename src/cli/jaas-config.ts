/** A login module of Java with its options, as sasl.jaas.config names one. */
export interface JaasEntry {
  /** The class, without its package. */
  readonly module: string
  readonly options: ReadonlyMap<string, string>
}

/*
 * The grammar of a JAAS file, of one entry:
 *   entry   class flag option* ';'
 *   option  name '=' value, where a value with anything but letters, digits and dots stands in double quotes
 */
const TOKEN = /\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"=;]+)|([=;]))/y
const FLAGS: ReadonlySet<string> = new Set(['required', 'requisite', 'sufficient', 'optional'])

/** Undefined where the text is no entry, or more than one. */
export function parseJaasConfig(text: string): JaasEntry | undefined {
  const tokens = tokensOf(text.trim())
  if (tokens === undefined) return undefined
  const [module, flag, ...rest] = tokens
  if (module === undefined || flag === undefined || !FLAGS.has(flag.toLowerCase())) return undefined
  if (rest.pop() !== ';' || rest.length % 3 !== 0) return undefined
  const options = new Map<string, string>()
  for (let at = 0; at < rest.length; at += 3) {
    const [name, equals, value] = rest.slice(at, at + 3)
    if (name === undefined || equals !== '=' || value === undefined || options.has(name)) return undefined
    options.set(name, value)
  }
  return { module: module.slice(module.lastIndexOf('.') + 1), options }
}

function tokensOf(text: string): string[] | undefined {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const [found, quoted, word, sign] = TOKEN.exec(text) ?? []
    if (found === undefined) return undefined
    tokens.push(quoted?.replaceAll(/\\(.)/g, '$1') ?? word ?? sign ?? '')
  }
  return tokens
}
