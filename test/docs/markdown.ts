import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'

/** A Markdown file of the repository. */
export interface Page {
  /** From the root of the repository, with forward slashes. */
  readonly path: string
  readonly blocks: readonly Block[]
  readonly headings: readonly Heading[]
  readonly links: readonly Link[]
  /** What the fragments of the page take for granted: the TypeScript in its comment `<!-- snippets: -->`. */
  readonly prelude: string
}

/** A fenced block. */
export interface Block {
  /** What stands behind the backticks, such as `ts` or `ts check`. */
  readonly info: string
  readonly text: string
  /** Of the first line inside it, counted from 1. */
  readonly line: number
}

interface Heading {
  readonly level: number
  readonly text: string
  readonly anchor: string
}

interface Link {
  readonly target: string
  readonly line: number
}

const FENCE = /^```(.*)$/
const HEADING = /^(#{1,6}) (.+)$/
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g
const PRELUDE = /<!-- snippets:\n([\s\S]*?)-->/

/** README, CHANGELOG and all of docs. */
export function readPages(root: string): Page[] {
  const docs = readdirSync(posix.join(root, 'docs')).filter((name) => name.endsWith('.md'))
  const paths = ['README.md', 'CHANGELOG.md', ...docs.sort().map((name) => `docs/${name}`)]
  return paths.map((path) => parsePage(path, readFileSync(posix.join(root, path), 'utf8')))
}

export function parsePage(path: string, text: string): Page {
  const blocks: Block[] = []
  const headings: Heading[] = []
  const links: Link[] = []
  let open: { info: string; lines: string[]; line: number } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const [, info] = FENCE.exec(line) ?? []
    if (open !== undefined) {
      if (info === undefined) open.lines.push(line)
      else {
        blocks.push({ info: open.info, text: open.lines.join('\n'), line: open.line })
        open = undefined
      }
      continue
    }
    if (info !== undefined) {
      open = { info: info.trim(), lines: [], line: index + 2 }
      continue
    }
    const [, hashes, title] = HEADING.exec(line) ?? []
    if (hashes !== undefined && title !== undefined) {
      headings.push({ level: hashes.length, text: title, anchor: anchorOf(title, headings) })
    }
    // What stands between backticks is no link.
    for (const [, target] of line.replace(/`[^`]*`/g, '').matchAll(LINK)) {
      if (target !== undefined) links.push({ target, line: index + 1 })
    }
  }
  if (open !== undefined) throw new Error(`${path}:${open.line - 1}: this fence is never closed`)
  return { path, blocks, headings, links, prelude: PRELUDE.exec(text)?.[1] ?? '' }
}

/** The anchor that GitHub gives a heading. */
function anchorOf(title: string, before: readonly Heading[]): string {
  const anchor = title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')
  const repeated = before.filter((heading) => heading.anchor.replace(/-\d+$/, '') === anchor).length
  return repeated === 0 ? anchor : `${anchor}-${repeated}`
}

/** Says which relative links lead nowhere. `exists` tells whether a path of the repository does. */
export function brokenLinks(pages: readonly Page[], exists: (path: string) => boolean): string[] {
  const anchors = new Map(pages.map((page) => [page.path, page.headings.map((heading) => heading.anchor)]))
  return pages.flatMap((page) =>
    page.links.flatMap(({ target, line }) => {
      if (/^[a-z]+:/.test(target)) return []
      const [file = '', anchor] = target.split('#')
      const path = file === '' ? page.path : posix.normalize(posix.join(posix.dirname(page.path), file))
      const where = `${page.path}:${line}: ${target}`
      if (!exists(path)) return [`${where}: there is no ${path}`]
      if (anchor === undefined || anchors.get(path)?.includes(anchor) === true) return []
      return [`${where}: ${path} has no heading #${anchor}`]
    }),
  )
}
