import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Block, Page } from './markdown.js'

/*
 * How a block of TypeScript is marked:
 *
 *   ```ts         with an import: a whole module, type-checked and run in an empty folder. A ```text block right behind
 *                 it is what it prints.
 *                 without one: a fragment, type-checked after the page's `<!-- snippets: -->`.
 *   ```ts check   a whole module that is only type-checked, such as a test file.
 */

/** One block of TypeScript, as a file that the compiler and the test runner can read. */
export interface Snippet {
  readonly page: string
  /** Of its first line in the page. */
  readonly line: number
  readonly kind: 'run' | 'check' | 'fragment'
  readonly file: string
  readonly source: string
  /** How many lines the file has before the snippet's first. */
  readonly linesBefore: number
  /** What it prints, where the page says so. */
  readonly prints: string | undefined
}

/** Other languages would be code that nobody checks. */
const INFOS: ReadonlySet<string> = new Set(['ts', 'ts check', 'sh', 'text', 'json'])

/** The blocks of a page that are marked in no known way. */
export function unknownBlocks(page: Page): string[] {
  return page.blocks.filter(({ info }) => !INFOS.has(info)).map(({ info, line }) => `${page.path}:${line}: ${info}`)
}

export function snippetsOf(page: Page, directory: string): Snippet[] {
  const slug = page.path.replace(/\.md$/, '').replaceAll('/', '-').toLowerCase()
  return page.blocks.flatMap((block, index) => {
    if (!block.info.startsWith('ts')) return []
    const kind = kindOf(block)
    const before = kind === 'fragment' ? `${page.prelude}export async function snippet(): Promise<void> {\n` : ''
    const next = page.blocks[index + 1]
    const isBehind = next?.info === 'text' && next.line === block.line + block.text.split('\n').length + 3
    return [
      {
        page: page.path,
        line: block.line,
        kind,
        file: join(directory, `${slug}-${block.line}.ts`),
        source: kind === 'fragment' ? `${before}${block.text}\n}\n` : `${block.text}\nexport {}\n`,
        linesBefore: before.split('\n').length - 1,
        prints: kind === 'run' && isBehind ? next.text : undefined,
      },
    ]
  })
}

function kindOf({ info, text }: Block): Snippet['kind'] {
  if (info === 'ts check') return 'check'
  return /^import /m.test(text) ? 'run' : 'fragment'
}

/** Inside the repository, so that imports of packages find them. */
export function writeSnippets(snippets: readonly Snippet[], directory: string): void {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  for (const { file, source } of snippets) writeFileSync(file, source)
}
