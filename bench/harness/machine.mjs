import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os'

/** What the numbers were measured on: to be called at the end. */
export function describeMachine() {
  const processors = cpus()
  return {
    processors: `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    system: `${platform()} ${release()} ${arch()}`,
    node: `${process.version}, V8 ${process.versions.v8}`,
    // What else ran there meanwhile blurs the ratios: one of our processes is busy at a time.
    'load average at the end, 15 minutes': loadavg()[2].toFixed(1),
  }
}
