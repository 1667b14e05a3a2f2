import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bench = fileURLToPath(new URL('..', import.meta.url))
const root = join(bench, '..')

/** Installs the peers where what is installed is not what the lock says. */
export function installPeers() {
  const wanted = packagesOf('package-lock.json')
  const installed = packagesOf(join('node_modules', '.package-lock.json'))
  const isInstalled = ([path, { version, optional }]) =>
    path === '' || installed[path]?.version === version || (optional === true && installed[path] === undefined)
  if (!Object.entries(wanted).every(isInstalled)) run('npm', ['ci'], bench)
}

function packagesOf(lock) {
  const file = join(bench, lock)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).packages : {}
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
