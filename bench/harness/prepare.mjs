import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bench = fileURLToPath(new URL('..', import.meta.url))
const root = join(bench, '..')

/** Installs the peers where what is installed is not what the lock says. */
export function installPeers() {
  const lock = createHash('sha256')
    .update(readFileSync(join(bench, 'package-lock.json')))
    .digest('hex')
  // npm ci empties the folder, so the mark cannot outlive what it speaks of.
  const mark = join(bench, 'node_modules', '.ottla-bench-lock')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return
  run('npm', ['ci'], bench)
  writeFileSync(mark, lock)
}

/** Builds the package, and the modules of it that are measured by themselves. */
export function build() {
  run('npm', ['run', 'build'], root)
  run('npx', ['tsup', '--config', join(bench, 'tsup.config.ts')], root)
}

function run(command, args, directory) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: directory,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed\n${error ?? ''}${stdout}${stderr}`)
}
