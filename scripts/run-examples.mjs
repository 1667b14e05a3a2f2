// Runs each file of examples/ in an empty folder, against the built package, and compares what it prints with
// examples/expected/<name>.txt. `--update` writes what they print to those files; names given run only those.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const update = process.argv.includes('--update')
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))

const examples = readdirSync(join(root, 'examples')).filter((file) => /\.(ts|mjs|cjs)$/.test(file))
const chosen = examples.filter((file) => wanted.length === 0 || wanted.includes(parse(file).name))
assert.notEqual(chosen.length, 0, `no example is called ${wanted.join(' or ')}`)

let failures = 0
for (const file of chosen) {
  const { name } = parse(file)
  const expectedFile = join(root, 'examples', 'expected', `${name}.txt`)
  const directory = mkdtempSync(join(tmpdir(), `ottla-${name}-`))
  try {
    const printed = execFileSync(process.execPath, [runnable(file)], {
      cwd: directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 60_000,
    })
    if (update) writeFileSync(expectedFile, printed)
    assert.equal(printed, readFileSync(expectedFile, 'utf8'))
    console.log(`ok      ${file}`)
  } catch (error) {
    failures += 1
    console.log(`FAILED  ${file}: ${error.message}`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
console.log(`${chosen.length - failures} of ${chosen.length} examples print what they should`)
process.exitCode = failures > 0 ? 1 : 0

/** Node 20 runs no TypeScript. The copy lies inside the package, where `import 'ottla'` means the package itself. */
function runnable(file) {
  const source = join(root, 'examples', file)
  if (!file.endsWith('.ts')) return source
  const directory = join(root, '.cache', 'examples')
  const target = join(directory, `${parse(file).name}.mjs`)
  const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
  })
  mkdirSync(directory, { recursive: true })
  writeFileSync(target, outputText)
  return target
}
