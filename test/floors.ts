import { posix } from 'node:path'
import ts from 'typescript'

/** A source tree: path below `src/` to text. */
export type SourceTree = ReadonlyMap<string, string>

/** The folders of src, lowest floor first. A file may import its own folder and the floors below it. */
const FLOORS: readonly (readonly string[])[] = [
  ['listeners.ts'],
  ['cancellation.ts', 'errors.ts', 'random-id.ts', 'reason-of.ts'],
  ['record', 'codec', 'protocol', 'time'],
  ['storage'],
  ['log'],
  ['group'],
  ['engine'],
  ['client'],
  ['broker.ts'],
  ['wire', 'cluster', 'kafkajs', 'testing', 'cli'],
]

/** The steps to a neighbour on the same floor that are allowed, from folder to path. */
const SIDEWAYS: readonly { from: string; to: RegExp }[] = [
  { from: 'protocol', to: /^record\/varint\.ts$/ },
  { from: 'kafkajs', to: /^wire\// },
  { from: 'cli', to: /^(wire|cluster|kafkajs|testing)\// },
]

const REACHES_THE_SYSTEM = /^(storage\/file|wire|cluster|cli)\//
const SYSTEM_MODULE = /^(node:)?(fs|net|tls|dgram|http|https|http2|child_process|cluster|os|worker_threads)(\/|$)/

const CLOCK = 'time/clock.ts'
const TIME_MODULE = /^(node:)?(timers|perf_hooks)(\/|$)/
const TIME_NAMES = new Set(['setTimeout', 'setInterval', 'setImmediate', 'performance'])
const TIME_MEMBERS = new Set(['Date.now', 'process.hrtime', 'process.uptime', 'AbortSignal.timeout'])

/** Says what in the tree breaks the rules of the house, one sentence for each breach. `entries` are the public entry points. */
export function breaches(tree: SourceTree, entries: readonly string[]): string[] {
  const files = new Map([...tree].map(([path, text]) => [path, parse(path, text)]))
  return [
    ...[...files].flatMap(([path, file]) => [
      ...file.imports.flatMap((edge) => edgeBreaches(path, edge, tree, entries)),
      ...(path === CLOCK
        ? []
        : file.timeUses.map((use) => `${path}:${use}: only ${CLOCK} reads a clock or sets a timer`)),
    ]),
    ...[...tree.keys()].filter((path) => floorOf(path, entries) === undefined).map((path) => `${path} is on no floor`),
    ...cycles(files),
    ...unreached(files, entries),
  ]
}

interface Import {
  /** A path below `src/`, or the name of a package. */
  readonly target: string
  readonly line: number
  readonly relative: boolean
  /** Gone after compilation. `import { type A }` is not: verbatimModuleSyntax keeps it as `import {}`. */
  readonly typeOnly: boolean
}

interface SourceFile {
  readonly imports: readonly Import[]
  /** `line: text` of each use of a clock or timer. */
  readonly timeUses: readonly string[]
}

function parse(path: string, text: string): SourceFile {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const imports: Import[] = []
  const timeUses: string[] = []
  const lineOf = (node: ts.Node): number => source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1

  const addImport = (specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return
    const relative = specifier.text.startsWith('.')
    const target = relative
      ? posix.normalize(posix.join(posix.dirname(path), specifier.text)).replace(/\.js$/, '.ts')
      : specifier.text
    imports.push({ target, line: lineOf(specifier), relative, typeOnly })
    if (TIME_MODULE.test(target)) timeUses.push(`${lineOf(specifier)}: ${target}`)
  }

  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) addImport(node.moduleSpecifier, node.importClause?.isTypeOnly === true)
    else if (ts.isExportDeclaration(node)) addImport(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) addImport(node.argument.literal, true)
    else if (ts.isExternalModuleReference(node)) addImport(node.expression, false)
    else if (ts.isCallExpression(node) && /^(import|require)$/.test(node.expression.getText(source)))
      addImport(node.arguments[0], false)

    if (readsTime(node, source)) timeUses.push(`${lineOf(node)}: ${node.getText(source)}`)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { imports, timeUses }
}

function readsTime(node: ts.Node, source: ts.SourceFile): boolean {
  if (ts.isIdentifier(node)) return TIME_NAMES.has(node.text)
  if (ts.isPropertyAccessExpression(node)) return TIME_MEMBERS.has(node.getText(source).replace(/^globalThis\./, ''))
  if (ts.isNewExpression(node)) return node.expression.getText(source) === 'Date' && !node.arguments?.length
  return ts.isCallExpression(node) && node.expression.getText(source) === 'Date'
}

function edgeBreaches(path: string, edge: Import, tree: SourceTree, entries: readonly string[]): string[] {
  const step = `${path}:${edge.line} imports ${edge.target}`
  if (!edge.relative) {
    return SYSTEM_MODULE.test(edge.target) && !REACHES_THE_SYSTEM.test(path)
      ? [`${step}: only storage/file, wire, cluster and cli reach the system`]
      : []
  }
  if (!tree.has(edge.target)) return [`${step}, which does not exist`]
  if (folderOf(path) === folderOf(edge.target)) return []

  const from = floorOf(path, entries)
  const to = floorOf(edge.target, entries)
  if (from === undefined || to === undefined || to < from) return []
  if (to > from) return [`${step}: upward`]
  const allowed = SIDEWAYS.some((way) => way.from === folderOf(path) && way.to.test(edge.target))
  return allowed ? [] : [`${step}: sideways`]
}

function folderOf(path: string): string {
  return path.split('/')[0] ?? path
}

/** The main entry point stands beside the roof: nothing may import it, and it takes in no other entry point's folder. */
function floorOf(path: string, entries: readonly string[]): number | undefined {
  if (!path.includes('/') && entries.includes(path)) return FLOORS.length - 1
  const floor = FLOORS.findIndex((folders) => folders.includes(folderOf(path)))
  return floor === -1 ? undefined : floor
}

/** Each cycle of runtime imports that a depth-first walk closes. */
function cycles(files: ReadonlyMap<string, SourceFile>): string[] {
  const found: string[] = []
  const done = new Set<string>()
  const walk = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at !== -1) {
      found.push(`runtime cycle: ${[...trail.slice(at), path].join(' -> ')}`)
      return
    }
    if (done.has(path)) return
    for (const edge of files.get(path)?.imports ?? []) {
      if (edge.relative && !edge.typeOnly) walk(edge.target, [...trail, path])
    }
    done.add(path)
  }
  for (const path of files.keys()) walk(path, [])
  return found
}

function unreached(files: ReadonlyMap<string, SourceFile>, entries: readonly string[]): string[] {
  const reached = new Set<string>()
  const walk = (path: string): void => {
    if (reached.has(path)) return
    reached.add(path)
    for (const edge of files.get(path)?.imports ?? []) if (edge.relative) walk(edge.target)
  }
  for (const entry of entries) walk(entry)
  return [...files.keys()].filter((path) => !reached.has(path)).map((path) => `no entry point reaches ${path}`)
}
