import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** An empty folder of a user who has installed the packed package. */
let consumer: string
let packedFiles: string[]

beforeAll(async () => {
  // Here, so that the tests of the sources run meanwhile.
  await npm(['run', 'build'], root)
  consumer = await mkdtemp(join(tmpdir(), 'ottla-consumer-'))
  const packed = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', consumer], root)
  const [tarball] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }]
  packedFiles = tarball.files.map((file) => file.path)

  await cp(fileURLToPath(new URL('consumer', import.meta.url)), consumer, { recursive: true })
  await cp(join(consumer, 'strict.ts'), join(consumer, 'strict.cts'))
  await writeFile(join(consumer, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  await install(['--prefer-offline', join(consumer, tarball.filename)], consumer)
})

afterAll(() => rm(consumer, { recursive: true, force: true }))

describe('the packed package', () => {
  it('holds what a user needs and nothing else', () => {
    const known =
      /^(dist\/.+\.(js|cjs|d\.ts|d\.cts)|config\/server\.properties|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/
    expect(packedFiles.filter((path) => !known.test(path))).toEqual([])
    const needed = ['README.md', 'CHANGELOG.md', 'LICENSE', 'dist/index.cjs']
    expect(packedFiles).toEqual(expect.arrayContaining(needed))
  })

  it.each(['js', 'cjs'])('holds each module once as .%s, in the syntax it was written in', async (format) => {
    const dist = join(consumer, 'node_modules/ottla/dist')
    const files = (await readdir(dist, { recursive: true })).filter((path) => path.endsWith(`.${format}`))
    const code = (await Promise.all(files.map((path) => readFile(join(dist, path), 'utf8')))).join('\n')
    expect(code.match(/OttlaError = class/g)).toHaveLength(1)
    expect(code).not.toMatch(/_optionalChain|_nullishCoalesce/)
  })

  it('brings along the one dependency that is loaded when it is needed', async () => {
    const installed = await readdir(join(consumer, 'node_modules'))
    expect(installed.filter((name) => !name.startsWith('.'))).toEqual(['fzstd', 'ottla'])
  })
})

describe.each([
  ['Node 20', ['20']],
  ['the newest Node to be had', ['26', '24', '22']],
] as const)('the packed package on %s', (_, majors) => {
  const found = findNode(majors)

  it.for([
    ['an ESM script', 'esm.mjs'],
    ['a CommonJS script', 'commonjs.cjs'],
    ['a script that mixes formats and entry points', 'mixed.mjs'],
  ] as const)('runs %s', async ([, script], { skip }) => {
    const node = await found
    if (node.path === null) return skip(node.reason)
    expect((await run(node.path, [script], { cwd: consumer, timeout: 30_000 })).stdout).toBe('done\n')
  })

  it('runs the command', async ({ skip }) => {
    const node = await found
    if (node.path === null) return skip(node.reason)
    const command = join(consumer, 'node_modules', 'ottla', packageJson.bin.ottla)
    const { stdout } = await run(node.path, [command, '--version'], { cwd: consumer, timeout: 30_000 })
    expect(stdout).toBe(`${packageJson.version}\n`)
  })
})

describe('the packed types, strict and with every library checked', () => {
  const others = { lib: ['es2022', 'dom'], types: ['node'], typeRoots: [join(root, 'node_modules/@types')] }

  it.each([
    ['nodenext resolution, as ESM and as CommonJS', 'nodenext', { module: 'nodenext' }, ['strict.ts', 'strict.cts']],
    ['bundler resolution', 'bundler', { module: 'esnext', moduleResolution: 'bundler' }, ['strict.ts']],
    ['the types of the DOM and of Node beside them', 'others', { module: 'nodenext', ...others }, ['strict.ts']],
  ])('compile with %s', async (_, name, options, files) => {
    expect(await compile(name, options, files)).toBe('')
  })

  it('find a wrong use', async () => {
    await writeFile(join(consumer, 'wrong.ts'), `import { Topic } from 'ottla'\nexport const topic = new Topic(1)\n`)
    // Libraries are checked above.
    const options = { module: 'nodenext', skipLibCheck: true }
    expect(await compile('wrong', options, ['wrong.ts'])).toMatch(/^wrong\.ts\(2,\d+\): error TS/)
  })
})

/** The errors that the compiler prints for these files of the consumer. */
async function compile(name: string, options: object, files: readonly string[]): Promise<string> {
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    target: 'es2022',
    lib: ['es2022'],
    types: [],
    ...options,
  }
  const project = `tsconfig.${name}.json`
  await writeFile(join(consumer, project), JSON.stringify({ compilerOptions, files }))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  return run(process.execPath, [tsc, '-p', project], { cwd: consumer }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  )
}

/** The first of these majors that is this Node itself or that npm's registry has for this machine. */
async function findNode(majors: readonly string[]): Promise<{ path: string } | { path: null; reason: string }> {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const giveUp = AbortSignal.timeout(45_000)
  const missing: string[] = []
  for (const major of majors) {
    if (process.versions.node.startsWith(`${major}.`)) return { path: process.execPath }
    const directory = join(root, '.cache', `node-${major}`)
    const path = join(directory, 'node_modules', name, 'bin', 'node')
    try {
      if (!existsSync(path)) {
        await mkdir(directory, { recursive: true })
        await install(['--no-save', '--fetch-retries=0', `${name}@${major}`], directory, giveUp)
      }
      await run(path, ['--version'])
      return { path }
    } catch (error) {
      missing.push(`${name}@${major} (${/npm error code (\S+)/.exec(String(error))?.[1] ?? 'took too long'})`)
    }
  }
  const reason = `npm could not install ${missing.join(', ')}`
  console.warn(`Skipped: ${reason}`)
  return { path: null, reason }
}

async function install(args: readonly string[], directory: string, signal?: AbortSignal): Promise<void> {
  const quick = ['--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund']
  await npm(['install', '--prefix', directory, ...quick, ...args], directory, signal)
}

async function npm(args: readonly string[], cwd: string, signal?: AbortSignal): Promise<string> {
  return (await run('npm', args, { cwd, signal })).stdout
}
