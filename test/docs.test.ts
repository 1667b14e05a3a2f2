import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { format } from 'node:util'
import { ERROR_CODES } from 'ottla'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { brokenLinks, type Page, parsePage, readPages } from './docs/markdown.js'
import { createProgram, typeErrors, undocumented } from './docs/program.js'
import { snippetsOf, unknownBlocks, writeSnippets } from './docs/snippets.js'

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '')
const cache = join(root, '.cache', 'docs')
const entries = ['index.ts', 'testing/index.ts', 'wire/index.ts'].map((entry) => join(root, 'src', entry))

const pages = readPages(root)
const snippets = pages.flatMap((page) => snippetsOf(page, cache))

/** What the checks must find fault with. It goes through the same program, which takes seconds to make. */
const faulty = snippetsOf(
  parsePage(
    'faulty.md',
    [
      '<!-- snippets:',
      'declare const size: number',
      '-->',
      '```ts',
      'void size',
      'size.trim()',
      '```',
      '```ts check',
      'export interface Box {',
      '  width: number',
      '  /** In mm. */',
      '  height: number',
      '}',
      '/** A crate. */',
      'export class Crate {',
      '  #inner = 1',
      '  constructor(readonly outer: number) {}',
      '  /** @internal */',
      '  own = 1',
      '  open(): void {}',
      '}',
      '```',
    ].join('\n'),
  ),
  cache,
)

writeSnippets([...snippets, ...faulty], cache)
const program = createProgram(root, [...entries, ...[...snippets, ...faulty].map(({ file }) => file)])

describe('a snippet of README or docs', () => {
  it('is marked in a way that is known', () => {
    expect(pages.flatMap(unknownBlocks)).toEqual([])
    expect(snippets.some(({ kind }) => kind === 'run')).toBe(true)
  })

  it('passes the compiler', () => {
    expect(snippets.flatMap((snippet) => typeErrors(program, snippet))).toEqual([])
  })

  describe('that is whole', () => {
    const before = process.cwd()
    let empty: string
    let printed: string[]

    beforeEach(() => {
      empty = mkdtempSync(join(tmpdir(), 'ottla-docs-'))
      process.chdir(empty)
      printed = []
      vi.spyOn(console, 'log').mockImplementation((...values) => {
        printed.push(format(...values))
      })
    })

    afterEach(() => {
      vi.restoreAllMocks()
      process.chdir(before)
      rmSync(empty, { recursive: true })
    })

    for (const { page, line, kind, file, prints } of snippets) {
      if (kind !== 'run') continue
      it(`runs: ${page}:${line}`, async () => {
        await import(/* @vite-ignore */ file)
        if (prints !== undefined) expect(printed.join('\n')).toBe(prints)
      })
    }
  })
})

describe('the pages', () => {
  const exists = (path: string): boolean => existsSync(join(root, path))

  it('link to what is there', () => {
    expect(brokenLinks(pages, exists)).toEqual([])
  })

  it('are all linked from README', () => {
    const linked = pageAt('README.md').links.map(({ target }) => target)
    const docs = pages.map(({ path }) => path).filter((path) => path.startsWith('docs/'))
    expect(docs.filter((path) => !linked.includes(path))).toEqual([])
  })

  it('name the commands that set the repository up', () => {
    const commands = pageAt('README.md').blocks.filter(({ info }) => info === 'sh')
    expect(commands.map(({ text }) => text).join('\n')).toContain('npm ci && npm run demo\nnpm ci && npm test')
  })
})

describe('docs/errors.md', () => {
  it('has one heading for each error code, in order', () => {
    const headings = pageAt('docs/errors.md').headings.filter(({ level }) => level === 2)
    expect(headings.map(({ text }) => text)).toEqual([...ERROR_CODES].sort())
  })
})

describe('an exported name', () => {
  it('has a docstring, and so has each member that users see', () => {
    expect(entries.flatMap((entry) => undocumented(program, entry, join(root, 'src')))).toEqual([])
  })
})

describe('the checks above', () => {
  it('see a link and an anchor that lead nowhere', () => {
    const page = parsePage(
      'docs/a.md',
      '# A `b` C!\n[here](#a-b-c) [gone](#d) [there](../README.md) [`x`](y.md) `[code](z)`',
    )
    expect(brokenLinks([page], (path) => path !== 'docs/y.md')).toEqual([
      'docs/a.md:2: #d: docs/a.md has no heading #d',
      'docs/a.md:2: y.md: there is no docs/y.md',
    ])
  })

  it('see a type error, at its line of the page', () => {
    const errors = faulty.flatMap((snippet) => typeErrors(program, snippet))
    expect(errors).toEqual(["faulty.md:6: Property 'trim' does not exist on type 'number'."])
  })

  it('see what has no docstring', () => {
    expect(undocumented(program, faulty[1]?.file ?? '', cache)).toEqual([
      'faulty-9.ts: Box',
      'faulty-9.ts: Box.width',
      'faulty-9.ts: Crate.outer',
      'faulty-9.ts: Crate.open',
    ])
  })
})

function pageAt(path: string): Page {
  const page = pages.find((each) => each.path === path)
  if (page === undefined) throw new Error(`there is no ${path}`)
  return page
}
