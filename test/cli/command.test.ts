import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commandLine, folders, root } from './cli-process.js'

const run = commandLine()
const folder = folders()

async function ended(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const ottla = run(folder(), args)
  return { code: await ottla.ended, stdout: ottla.stdout, stderr: ottla.stderr }
}

describe('ottla', () => {
  it('says which version it is', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    expect(await ended('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it.each(['--help', 'help', '-h'])('says with %s what it can do', async (arg) => {
    const { code, stdout, stderr } = await ended(arg)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain('ottla server-start [-daemon] [FILE] [--override KEY=VALUE]...')
  })

  it('says it as an error where no command is given', async () => {
    const { code, stdout, stderr } = await ended()
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain('Usage:')
  })

  it.each([
    [['sever-start'], 'There is no command sever-start. Did you mean server-start? See: ottla --help\n'],
    [['x'], 'There is no command x. See: ottla --help\n'],
  ])('names the nearest command for %j', async (args, stderr) => {
    expect(await ended(...args)).toEqual({ code: 1, stdout: '', stderr })
  })
})

describe('ottla server-start', () => {
  it('says with --help what it takes', async () => {
    const { code, stdout, stderr } = await ended('server-start', '--help')
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain('Default: config/server.properties')
  })

  it.each([
    [['--overide', 'a=b'], "Unknown option '--overide'. See: ottla server-start --help\n"],
    [['--override'], "Option '--override <value>' argument missing. See: ottla server-start --help\n"],
    [['--override', 'a'], "--override takes KEY=VALUE, not 'a'. See: ottla server-start --help\n"],
    [['--override', '=b'], "--override takes KEY=VALUE, not '=b'. See: ottla server-start --help\n"],
    [['a', 'b'], 'One FILE is taken, not both a and b. See: ottla server-start --help\n'],
  ])('refuses %j', async (args, stderr) => {
    expect(await ended('server-start', ...args)).toEqual({ code: 1, stdout: '', stderr })
  })
})
