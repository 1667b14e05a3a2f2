import { arch, cpus, platform, release, totalmem } from 'node:os'

/** What the numbers were measured on. */
export function describeMachine() {
  const processors = cpus()
  return {
    processors: `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    system: `${platform()} ${release()} ${arch()}`,
    node: `${process.version}, V8 ${process.versions.v8}`,
  }
}
