import { readFileSync } from 'node:fs'
import { Broker } from '../broker.js'
import { LogDirectories } from '../storage/file/log-directories.js'
import type { RecoveryReport } from '../storage/storage.js'
import { type Listener, listen } from '../wire/server.js'
import { reportToParent } from './daemon-report.js'
import { brokerFailure, CommandFailure, fileFailure, listenFailure } from './failures.js'
import type { ServerListener } from './listener-security.js'
import { logLine, printLine } from './output.js'
import { decodeProperties, MalformedProperties } from './properties.js'
import {
  InvalidServerConfig,
  readServerConfig,
  type ServerConfig,
  type Setting,
  type SettingReport,
  shownValue,
} from './server-config.js'
import { onStopSignal } from './stop-signal.js'
import { VERSION } from './version.js'

/** The arguments of `ottla server-start`. */
export interface ServerArguments {
  readonly file: string | undefined
  readonly overrides: readonly { readonly key: string; readonly value: string }[]
}

const DEFAULT_FILE = 'config/server.properties'
const OVERRIDE = '--override'

/** Runs a broker until a signal ends it. Resolves to the exit code; throws CommandFailure for what the user can put right. */
export async function runServer({ file, overrides }: ServerArguments): Promise<number> {
  const stop = onStopSignal()
  try {
    printLine(`ottla ${VERSION}, process ${process.pid}`)
    const settings = [
      ...settingsOf(file),
      ...overrides.map((override) => ({ ...override, origin: OVERRIDE, group: OVERRIDE })),
    ]
    const config = configOf(settings)
    const broker = await openBroker(config)
    try {
      const listeners = await openListeners(broker, config)
      reportToParent({ listening: listeners.map(({ bootstrapServers }) => bootstrapServers) })
      logLine(`Closing: ${await stop.signalled}. A second signal ends at once.`)
      for (const listener of listeners) await listener.close()
    } finally {
      await broker.close()
    }
    logLine('Closed.')
    return 0
  } catch (error) {
    const failure = brokerFailure(error)
    if (failure instanceof CommandFailure) reportToParent({ failure: failure.message })
    throw failure
  } finally {
    stop.forget()
  }
}

interface GroupedSetting extends Setting {
  /** What it is listed under. */
  readonly group: string
}

function settingsOf(file: string | undefined): GroupedSetting[] {
  const path = file ?? DEFAULT_FILE
  const bytes = readSettings(path, file === undefined)
  if (bytes === undefined) {
    printLine(`There is no ${DEFAULT_FILE}: Kafka's defaults hold.`)
    return []
  }
  try {
    return decodeProperties(bytes).map(({ key, value, line }) => ({
      key,
      value,
      origin: `${path}, line ${line}`,
      group: path,
    }))
  } catch (error) {
    if (error instanceof MalformedProperties) throw new CommandFailure(`${path}, line ${error.line}: ${error.message}.`)
    throw error
  }
}

/** Undefined where the file is not there and need not be. */
function readSettings(path: string, isOptional: boolean): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if (isOptional && error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw fileFailure(error, 'read', path)
  }
}

function configOf(settings: readonly GroupedSetting[]): ServerConfig {
  try {
    const { config, reports } = readServerConfig(settings)
    printReports(settings, reports)
    return config
  } catch (error) {
    throw error instanceof InvalidServerConfig ? new CommandFailure(error.message) : error
  }
}

function printReports(settings: readonly GroupedSetting[], reports: readonly SettingReport[]): void {
  for (const [index, { setting, outcome }] of reports.entries()) {
    const group = settings[index]?.group
    if (group !== undefined && group !== settings[index - 1]?.group) printLine(`${group}:`)
    printLine(`  ${setting.key}=${shownValue(setting)}: ${outcome}`)
  }
}

async function openBroker({ engine, logDirs, durability }: ServerConfig): Promise<Broker> {
  const storage = new LogDirectories(logDirs, durability)
  const broker = await Broker.open({
    storage,
    config: engine,
    defaults: 'kafka',
    onError: (error) => logLine(`In the background: ${error.message}`),
  })
  printLine(`Logs in ${storage.directories.join(', ')}`)
  for (const report of broker.recovery) printLine(repairOf(report))
  return broker
}

function repairOf(report: RecoveryReport): string {
  const log = `${report.topic}-${report.partition}`
  switch (report.kind) {
    case 'torn-tail':
      return (
        `Repaired ${log}: ${report.removedBytes} bytes were cut off ${report.file} at ${report.position} ` +
        `(${report.reason}); the log ends at offset ${report.logEndOffset} now`
      )
    case 'rewritten-tail':
      return (
        `Repaired ${log}: ${report.rewrittenBytes} bytes of ${report.file} from offset ${report.firstOffset} on ` +
        'were written again and synced, since nothing said that they had been'
      )
    case 'moved-offset':
      return (
        `Repaired ${log}: group ${report.groupId} had committed ${report.committedOffset}, ` +
        `and goes on at ${report.logEndOffset}, where the log ends`
      )
    case 'repair':
      return (
        `Repaired ${log}: ${report.removedBytes} bytes of ${report.file} from ${report.position} on were left out ` +
        `(${report.reason}); offsets from ${report.firstOffset} to ${report.endOffset} are missing`
      )
  }
}

async function openListeners(broker: Broker, config: ServerConfig): Promise<Listener[]> {
  const opened: Listener[] = []
  for (const address of config.listeners) {
    try {
      const listener = await openListener(broker, config, address)
      opened.push(listener)
      printLine(describe(address, listener))
    } catch (error) {
      for (const listener of opened) await listener.close()
      throw listenFailure(error, address.host, address.port)
    }
  }
  return opened
}

async function openListener(broker: Broker, config: ServerConfig, address: ServerListener): Promise<Listener> {
  const { nodeId, autoCreateTopics, deleteTopics } = config
  const { socketRequestMaxBytes, connectionsMaxIdleMs, maxConnections } = config
  const { tls, sasl } = address
  // Most have no need of it, and a start is worth the milliseconds.
  const tlsOptions = tls && (await (await import('./tls-options.js')).tlsOptionsOf(tls))
  return listen(broker, {
    ...(tlsOptions !== undefined && { tls: tlsOptions }),
    ...(sasl !== undefined && { sasl }),
    host: address.host,
    port: address.port,
    ...(address.advertised !== undefined && { advertised: advertisedOf(address.advertised) }),
    nodeId,
    autoCreateTopics,
    deleteTopics,
    socketRequestMaxBytes,
    connectionsMaxIdleMs,
    maxConnections,
    log: logLine,
  })
}

/** Without a host it is the one by which a client came, without a port the one that is listened on. */
function advertisedOf({ host, port }: { host: string; port: number }): { host?: string; port?: number } {
  return { ...(host !== '' && { host }), ...(port !== 0 && { port }) }
}

function describe({ name, protocol, host, advertised }: ServerListener, { port, bootstrapServers }: Listener): string {
  const isEverywhere = host === '' || host === '0.0.0.0' || host === '::'
  const place = isEverywhere ? `${bootstrapServers} and on all other addresses of this machine` : bootstrapServers
  const kind = protocol === name || protocol === 'PLAINTEXT' ? name : `${name}, ${protocol}`
  if (advertised === undefined) return `Listening on ${place} (${kind})`
  const told = `${advertised.host === '' ? 'the host they came by' : advertised.host}:${advertised.port || port}`
  return `Listening on ${place} (${kind}), clients are told ${told}`
}
