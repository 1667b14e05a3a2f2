import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { buildSync } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { FileStorage } from '../../../src/storage/file/file-storage.js'
import { lockDirectory } from '../../../src/storage/file/lock.js'
import { systemClock } from '../../../src/time/clock.js'
import { batchAt, offsetsIn, open, temporaryDirectories } from './file-rig.js'

const directory = temporaryDirectories()
const context = { clock: systemClock, onRecovery: () => undefined }

/** A module that takes hold of the directory named by OTTLA_DIRECTORY, says how that went and stays. */
function holderModule(): string {
  const place = directory()
  mkdirSync(place)
  const entry = join(place, 'holder.ts')
  const lock = new URL('../../../src/storage/file/lock.ts', import.meta.url).pathname
  writeFileSync(
    entry,
    `import { parentPort } from 'node:worker_threads'
    import { lockDirectory } from ${JSON.stringify(lock)}
    const say = (word) => parentPort === null ? process.stdout.write(word + '\\n') : parentPort.postMessage(word)
    lockDirectory(process.env.OTTLA_DIRECTORY, 0).then(() => say('held'), (error) => say(error.code))
    process.stdin.resume()
    parentPort?.on('message', () => {})`,
  )
  const outfile = join(place, 'holder.mjs')
  buildSync({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20' })
  return outfile
}

let bundled: string | undefined

/** A process that tries to take hold of a directory; resolves when it says how that went. */
async function hold(place: string): Promise<{ child: ChildProcess; outcome: string }> {
  bundled ??= holderModule()
  const child = spawn(process.execPath, [bundled], {
    env: { ...process.env, OTTLA_DIRECTORY: place },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [said] = await once(child.stdout, 'data')
  return { child, outcome: String(said).trim() }
}

/** How another namespace of the machine is entered, where this user may. */
function canUnshare(flag: string): boolean {
  return process.platform === 'linux' && spawnSync('unshare', [flag, '--fork', 'true']).status === 0
}

/** Tries to take hold of a directory from within another namespace, and ends. */
async function holdIn(flag: string, place: string): Promise<string> {
  bundled ??= holderModule()
  const child = spawn('unshare', [flag, '--fork', '--kill-child', process.execPath, bundled], {
    env: { ...process.env, OTTLA_DIRECTORY: place },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [said] = await once(child.stdout, 'data')
  await kill(child, 'SIGKILL')
  return String(said).trim()
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}

describe('a directory', () => {
  it('is held by one storage of a process, and the refusal names it', async () => {
    const place = directory()
    const { storage, log } = await open(place)
    await log.append([batchAt(0)])
    const second = new FileStorage(place)
    await expect(second.open(context)).rejects.toMatchObject({
      code: 'OTTLA_LOCKED',
      message: expect.stringContaining(`this process (${process.pid})`),
    })
    expect(await offsetsIn(log)).toEqual([0])
    await storage.close()
    await second.open(context)
    await second.close()
  })

  it('is the same one through a symlink', async () => {
    const place = directory()
    const link = directory()
    const { storage } = await open(place)
    symlinkSync(place, link)
    await expect(new FileStorage(link).open(context)).rejects.toMatchObject({ code: 'OTTLA_LOCKED' })
    await storage.close()
  })

  it('that another process holds is refused by its name, until that is killed', async () => {
    const place = directory()
    await (await open(place)).storage.close()
    const { child, outcome } = await hold(place)
    expect(outcome).toBe('held')
    const since = new Date(0).toISOString()
    await expect(new FileStorage(place).open(context)).rejects.toMatchObject({
      code: 'OTTLA_LOCKED',
      retriable: true,
      message: expect.stringContaining(`process ${child.pid} since ${since}`),
    })
    await kill(child, 'SIGKILL')
    const startedAt = performance.now()
    await (await open(place)).storage.close()
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })

  it('that this process holds is refused to another one', async () => {
    const place = directory()
    const { storage } = await open(place)
    const refused = await hold(place)
    expect(refused.outcome).toBe('OTTLA_LOCKED')
    await kill(refused.child, 'SIGKILL')
    await storage.close()
    const { child, outcome } = await hold(place)
    expect(outcome).toBe('held')
    await kill(child, 'SIGKILL')
  })

  it.skipIf(spawnSync('flock', ['--version']).status !== 0)('is locked for whoever asks the kernel too', async () => {
    const place = directory()
    const { storage } = await open(place)
    const ask = () => spawnSync('flock', ['-n', '-x', join(place, '.lock'), 'true']).status
    expect(ask()).toBe(1)
    await storage.close()
    expect(ask()).toBe(0)
    const foreign = spawn('flock', ['-x', join(place, '.lock'), 'sh', '-c', 'echo held; read line'])
    await once(foreign.stdout, 'data')
    await expect(new FileStorage(place).open(context)).rejects.toMatchObject({
      code: 'OTTLA_LOCKED',
      message: expect.stringContaining('another broker'),
    })
    const ended = once(foreign, 'exit')
    foreign.stdin.end('go on\n')
    await ended
    await (await open(place)).storage.close()
  })

  it('stays held while its holder is stopped', async () => {
    const place = directory()
    mkdirSync(place)
    const { child } = await hold(place)
    child.kill('SIGSTOP')
    await expect(lockDirectory(place, 0)).rejects.toMatchObject({ code: 'OTTLA_LOCKED' })
    child.kill('SIGCONT')
    await kill(child, 'SIGKILL')
  })

  for (const flag of ['--net', '--pid', '--uts']) {
    it.skipIf(!canUnshare(flag))(
      `that this process holds is refused in another namespace: unshare ${flag}`,
      async () => {
        const place = directory()
        const { storage } = await open(place)
        expect(await holdIn(flag, place)).toBe('OTTLA_LOCKED')
        await storage.close()
        expect(await holdIn(flag, place)).toBe('held')
      },
    )
  }

  it('whose stopped holder is killed is free at once', async () => {
    const place = directory()
    mkdirSync(place)
    const { child } = await hold(place)
    child.kill('SIGSTOP')
    await expect(lockDirectory(place, 0)).rejects.toMatchObject({
      code: 'OTTLA_LOCKED',
      message: expect.stringContaining(`process ${child.pid}`),
    })
    await kill(child, 'SIGKILL')
    await (await lockDirectory(place, 0)).release()
  })

  it('can be looked at while another process holds it', async () => {
    const place = directory()
    await (await open(place)).storage.close()
    const { child, outcome } = await hold(place)
    expect(outcome).toBe('held')
    const reader = await open(place, { readOnly: true })
    expect(await offsetsIn(reader.log)).toEqual([])
    await reader.storage.close()
    await kill(child, 'SIGKILL')
  })

  it('that this thread holds is refused to a worker thread', async () => {
    const place = directory()
    const { storage } = await open(place)
    bundled ??= holderModule()
    const worker = new Worker(bundled, { env: { ...process.env, OTTLA_DIRECTORY: place } })
    const [outcome] = await once(worker, 'message')
    expect(outcome).toBe('OTTLA_LOCKED')
    await worker.terminate()
    await storage.close()
  })

  it('that a worker thread holds is refused to a second one, until the first is terminated', async () => {
    const place = directory()
    mkdirSync(place)
    bundled ??= holderModule()
    const outcomes: string[] = []
    const workers: Worker[] = []
    const hold = async (module: string): Promise<void> => {
      const worker = new Worker(module, { env: { ...process.env, OTTLA_DIRECTORY: place } })
      workers.push(worker)
      const [outcome] = await once(worker, 'message')
      outcomes.push(outcome)
    }
    await hold(bundled)
    await hold(bundled)
    await workers[0]?.terminate()
    await hold(bundled)
    expect(outcomes).toEqual(['held', 'OTTLA_LOCKED', 'held'])
    for (const worker of workers) await worker.terminate()
  })

  it.skipIf(process.platform !== 'linux')('is let go of when its holder cannot write its name down', async () => {
    const place = directory()
    mkdirSync(place)
    symlinkSync('/dev/full', join(place, '.lock'))
    await expect(lockDirectory(place, 0)).rejects.toThrow()
    rmSync(join(place, '.lock'))
    await (await lockDirectory(place, 0)).release()
  })

  it('holds nothing when its lock file is all that is left of a dead holder', async () => {
    const place = directory()
    mkdirSync(place)
    writeFileSync(join(place, '.lock'), JSON.stringify({ pid: process.pid, hostname: 'elsewhere', since: 'long ago' }))
    const lock = await lockDirectory(place, 0)
    expect(JSON.parse(readFileSync(join(place, '.lock'), 'utf8'))).toMatchObject({ pid: process.pid })
    await lock.release()
    await lock.release()
    await (await lockDirectory(place, 0)).release()
  })
})

describe('an open storage', () => {
  it('does not keep its process alive', async () => {
    const place = directory()
    mkdirSync(place)
    bundled ??= holderModule()
    const child = spawn(process.execPath, [bundled], {
      env: { ...process.env, OTTLA_DIRECTORY: place },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
