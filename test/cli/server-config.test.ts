import { describe, expect, it } from 'vitest'
import { InvalidServerConfig, readServerConfig, type ServerConfig, type Setting } from '../../src/cli/server-config.js'
import { SERVER_KEYS } from '../../src/cli/server-keys.js'

/** `key=value` lines as they stand in a file. */
function settings(lines: readonly string[]): Setting[] {
  return lines.map((line, index) => {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/.exec(line) ?? []
    return { key, value, origin: `line ${index + 1}` }
  })
}

function read(...lines: string[]): ServerConfig {
  return readServerConfig(settings(lines)).config
}

/** What is said of each line. */
function outcomes(...lines: string[]): string[] {
  return readServerConfig(settings(lines)).reports.map(({ outcome }) => outcome)
}

function problems(...lines: string[]): readonly string[] {
  try {
    readServerConfig(settings(lines))
  } catch (error) {
    if (error instanceof InvalidServerConfig) return error.problems
    throw error
  }
  return []
}

const HOUR_MS = 3_600_000

describe('a server without settings', () => {
  it("has Kafka's defaults, and logs in ./ottla-logs", () => {
    expect(read()).toEqual({
      engine: {},
      nodeId: 1,
      listeners: [
        {
          name: 'PLAINTEXT',
          protocol: 'PLAINTEXT',
          host: '',
          port: 9092,
          advertised: undefined,
          tls: undefined,
          sasl: undefined,
        },
      ],
      logDirs: ['./ottla-logs'],
      durability: { durability: 'os' },
      autoCreateTopics: true,
      deleteTopics: true,
      socketRequestMaxBytes: 104_857_600,
      connectionsMaxIdleMs: 600_000,
      maxConnections: 2_147_483_647,
    })
  })
})

describe('a key that is used', () => {
  const SOME_VALUE: Readonly<Record<string, string>> = {
    listeners: 'PLAINTEXT://127.0.0.1:1',
    'advertised.listeners': 'PLAINTEXT://a:1',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': '/a,/b',
    'log.dir': '/a',
    'auto.create.topics.enable': 'false',
    'delete.topic.enable': 'false',
    'group.min.session.timeout.ms': '7000',
    'log.cleanup.policy': 'compact',
    'log.cleaner.min.cleanable.ratio': '0.25',
    'metadata.log.segment.bytes': '9000000',
    'log.message.timestamp.type': 'LogAppendTime',
  }

  // Two change only how other keys are read, and those that secure listeners are used by such listeners alone.
  const used = SERVER_KEYS.filter(({ use, secures }) => use !== undefined && secures === undefined).map(
    ({ name }) => name,
  )
  const alone = used.filter((name) => !/^(listener.security.protocol.map|controller.listener.names)$/.test(name))

  it.each(alone)('changes what the server is started with: %s', (key) => {
    const line = `${key}=${SOME_VALUE[key] ?? '7000000'}`
    expect(read(line)).not.toEqual(read())
    expect(outcomes(line)).toEqual(['used'])
  })
})

describe('how long messages are kept', () => {
  it.each([
    [['log.retention.hours=2'], 2 * HOUR_MS],
    [['log.retention.hours=2', 'log.retention.minutes=3'], 180_000],
    [['log.retention.minutes=3', 'log.retention.ms=5', 'log.retention.hours=2'], 5],
    [['log.retention.ms=-1', 'log.retention.minutes=3'], -1],
    [['log.retention.hours=-2'], -1],
    [['log.retention.hours=99999999'], 359_999_996_400_000],
    [['log.retention.ms=9223372036854775807'], Number.MAX_SAFE_INTEGER],
  ])('follows from %j as with Kafka', (lines, retentionMs) => {
    expect(read(...lines).engine).toEqual({ 'log.retention.ms': String(retentionMs) })
  })

  it('is said to follow from the finest unit', () => {
    expect(outcomes('log.retention.hours=2', 'log.retention.minutes=3')).toEqual([
      'without effect, because log.retention.minutes is set too',
      'used',
    ])
  })

  it('cannot be 0', () => {
    expect(problems('log.retention.hours=0')).toEqual([
      "line 1: log.retention.hours cannot be '0': it takes an integer from -2147483648 to 2147483647, but not 0: negative keeps messages for ever.",
    ])
  })

  it('has no limit in bytes below 0', () => {
    expect(read('log.retention.bytes=-7').engine).toEqual({ 'log.retention.bytes': '-1' })
  })
})

describe('when writes are synced', () => {
  it.each([
    [['log.flush.interval.messages=10000'], { durability: 'fsync' }],
    [['log.flush.interval.messages=9223372036854775807'], { durability: 'os' }],
    [['log.flush.interval.ms=1000'], { durability: 'interval', syncIntervalMs: 1000 }],
    [['log.flush.interval.ms=0'], { durability: 'fsync' }],
    [['log.flush.interval.ms=9223372036854775807'], { durability: 'os' }],
    [['log.flush.interval.ms=1000', 'log.flush.interval.messages=1'], { durability: 'fsync' }],
  ])('follows from %j', (lines, durability) => {
    expect(read(...lines).durability).toEqual(durability)
  })
})

describe('log.dirs', () => {
  it.each([
    ['/a, /b,C:/dev/logs', ['/a', '/b', 'C:/dev/logs']],
    ['/a,/a', ['/a']],
  ])('is a list: %s', (value, directories) => {
    expect(read(`log.dirs=${value}`).logDirs).toEqual(directories)
  })

  it('goes before log.dir', () => {
    expect(read('log.dir=/c').logDirs).toEqual(['/c'])
    expect(read('log.dir=/c', 'log.dirs=/a').logDirs).toEqual(['/a'])
    expect(outcomes('log.dir=/c', 'log.dirs=/a')[0]).toBe('without effect, because log.dirs is set too')
  })

  it.each(['', '/a,,/b', '/a,'])('has no empty item: %j', (value) => {
    expect(problems(`log.dirs=${value}`)).toEqual([
      `line 1: log.dirs cannot be '${value}': it takes a comma-separated list without empty items.`,
    ])
  })
})

describe('the number of the broker', () => {
  it.each([
    [['node.id=3'], 3],
    [['broker.id=0'], 0],
    [['broker.id=-1'], 1],
    [['broker.id=3', 'node.id=3'], 3],
  ])('follows from %j', (lines, nodeId) => {
    expect(read(...lines).nodeId).toBe(nodeId)
  })

  it('cannot be two', () => {
    expect(problems('node.id=1', 'broker.id=5')).toEqual([
      'line 2: broker.id cannot be 5 while node.id is 1: give one of them.',
    ])
  })
})

describe('a setting', () => {
  it('outdoes the same key before it', () => {
    expect(read('num.partitions=3', 'num.partitions=4').engine).toEqual({ 'num.partitions': '4' })
    expect(outcomes('num.partitions=3', 'num.partitions=4')).toEqual([
      'without effect, because line 2 sets it again',
      'used',
    ])
  })

  it('is named with the nearest key where there is no such one', () => {
    expect(outcomes('num.partitoins=3')).toEqual(['unknown to Kafka 4.2 and to ottla; did you mean num.partitions?'])
    expect(outcomes('log.retention.in.hours=3')[0]).toContain('did you mean log.retention.hours?')
    expect(read('num.partitoins=3')).toEqual(read())
  })

  it('says why it does nothing', () => {
    expect(outcomes('zookeeper.connect=localhost:2181', 'process.roles=broker,controller')).toEqual([
      'without effect, because topics and configs are kept in the log __cluster_metadata, not in ZooKeeper',
      'without effect, because this broker is its own controller, alone',
    ])
  })

  it('is refused where its value is wrong, each with its line and what it takes', () => {
    expect(problems('num.partitions=0', 'num.io.threads=few', 'log.segment.bytes=1000', 'process.roles=king')).toEqual([
      "line 1: num.partitions cannot be '0': it takes an integer from 1 to 2147483647.",
      "line 2: num.io.threads cannot be 'few': it takes an integer from 1 to 2147483647.",
      "line 3: log.segment.bytes cannot be '1000': it takes an integer from 1048576 to 2147483647.",
      "line 4: process.roles cannot be 'king': it takes broker, controller or broker,controller.",
    ])
  })

  it('is refused where it asks for permissions that nobody would check', () => {
    expect(problems('authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer')).toEqual([
      expect.stringContaining('open to everyone'),
    ])
  })

  it('may be surrounded by blanks', () => {
    expect(read('num.partitions= 3 ').engine).toEqual({ 'num.partitions': '3' })
  })

  it('is refused with another that it does not go with', () => {
    const lines = ['group.min.session.timeout.ms=100000', 'group.max.session.timeout.ms=10']
    expect(problems(...lines)).toEqual([expect.stringContaining('is above group.max.session.timeout.ms')])
  })
})
