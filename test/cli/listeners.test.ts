import { describe, expect, it } from 'vitest'
import { InvalidListeners, type ListenerKeys, readListeners } from '../../src/cli/listeners.js'

const NOTHING_ELSE = { advertised: undefined, securityProtocolMap: undefined, controllerNames: undefined }

/** Each door as `NAME HOST PORT`, with what is advertised behind it. */
function doors(listeners: string, others: Partial<ListenerKeys> = {}): string[] {
  return readListeners({ ...NOTHING_ELSE, ...others, listeners }).map(({ name, host, port, advertised }) =>
    [name, host, port, ...(advertised === undefined ? [] : [`as ${advertised.host}:${advertised.port}`])].join(' '),
  )
}

/** What is wrong, behind the key that is. */
function refusal(listeners: string, others: Partial<ListenerKeys> = {}): string {
  try {
    return doors(listeners, others).join()
  } catch (error) {
    if (error instanceof InvalidListeners) return `${error.key} ${error.message}`
    throw error
  }
}

const KRAFT = { controllerNames: 'CONTROLLER' }
const TWO = { securityProtocolMap: 'PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT' }

// What Kafka 4.2 makes of each was read off its KafkaConfig.
describe('listeners', () => {
  it.each([
    ['PLAINTEXT://:9092', ['PLAINTEXT  9092']],
    ['PLAINTEXT://localhost:9092', ['PLAINTEXT localhost 9092']],
    ['plaintext://my_host:9092', ['PLAINTEXT my_host 9092']],
    ['PLAINTEXT://[::1]:9092', ['PLAINTEXT ::1 9092']],
    ['PLAINTEXT://::1:9092', ['PLAINTEXT ::1 9092']],
    ['PLAINTEXT://[fe80::1%eth0]:9092', ['PLAINTEXT fe80::1%eth0 9092']],
    ['PLAINTEXT://0.0.0.0:0', ['PLAINTEXT 0.0.0.0 0']],
  ])('may be %s', (listeners, expected) => {
    expect(doors(listeners)).toEqual(expected)
  })

  it('may be several', () => {
    const expected = ['PLAINTEXT a 1', 'INTERNAL b 2']
    expect(doors(' PLAINTEXT://a:1 , INTERNAL://b:2 ', TWO)).toEqual(expected)
    expect(doors('PLAINTEXT://a:0,INTERNAL://b:0', TWO)).toEqual(['PLAINTEXT a 0', 'INTERNAL b 0'])
    expect(doors('PLAINTEXT://127.0.0.1:1,INTERNAL://[::1]:1', TWO)).toEqual([
      'PLAINTEXT 127.0.0.1 1',
      'INTERNAL ::1 1',
    ])
  })

  it('are opened without those for controllers, whatever security these ask for', () => {
    expect(doors('PLAINTEXT://:9092,CONTROLLER://:9093', KRAFT)).toEqual(['PLAINTEXT  9092'])
    const advertised = 'PLAINTEXT://a:1,CONTROLLER://a:2'
    expect(doors('CONTROLLER://:9093,PLAINTEXT://:9092', { ...KRAFT, advertised })).toEqual(['PLAINTEXT  9092 as a:1'])
  })

  it.each([
    ['localhost:9092', "listeners cannot be 'localhost:9092': it takes NAME://HOST:PORT"],
    ['PLAINTEXT://localhost', "listeners cannot be 'PLAINTEXT://localhost'"],
    ['PLAINTEXT://localhost:9092/', "listeners cannot be 'PLAINTEXT://localhost:9092/'"],
    ['PLAINTEXT://a:1;INTERNAL://b:2', 'no security protocol is defined for PLAINTEXT://A:1;INTERNAL'],
    ['PLAINTEXT://a:-1', "listeners cannot be 'PLAINTEXT://a:-1'"],
    ['PLAINTEXT://a:65536', 'listeners cannot have the port 65536: it takes one from 0 to 65535'],
    ['PLAINTEXT://a:1,PLAINTEXT://a:2', 'listeners names PLAINTEXT twice'],
    ['PLAINTEXT://a:1,SSL://b:1', 'listeners has the port 1 a second time, in SSL://b:1'],
    ['CUSTOM://a:1', 'listeners has CUSTOM://a:1, and no security protocol is defined for CUSTOM'],
  ])('cannot be %s', (listeners, sentence) => {
    expect(refusal(listeners)).toContain(sentence)
  })

  it('cannot be for controllers alone', () => {
    expect(refusal('CONTROLLER://:9093', KRAFT)).toBe(
      'listeners has listeners for controllers alone: add one for clients',
    )
  })
})

describe('listener.security.protocol.map', () => {
  it('names the security of a listener, in capitals or not', () => {
    expect(doors('custom://a:1', { securityProtocolMap: 'custom:plaintext' })).toEqual(['CUSTOM a 1'])
    const [address] = readListeners({ ...NOTHING_ELSE, listeners: 'CUSTOM://a:1', securityProtocolMap: 'CUSTOM:ssl' })
    expect(address?.protocol).toBe('SSL')
    expect(refusal('PLAINTEXT://a:1', { securityProtocolMap: 'CUSTOM:SSL' })).toContain('is defined for PLAINTEXT')
  })

  it.each([
    ['CUSTOM', "cannot hold 'CUSTOM': it takes NAME:PROTOCOL"],
    ['CUSTOM:TLS', "cannot hold 'CUSTOM:TLS': the protocol is one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"],
  ])('cannot be %s', (securityProtocolMap, sentence) => {
    const key = 'listener.security.protocol.map'
    expect(refusal('PLAINTEXT://a:1', { securityProtocolMap })).toContain(`${key} ${sentence}`)
  })
})

describe('advertised.listeners', () => {
  it('says for each listener what clients are told', () => {
    expect(doors('PLAINTEXT://:1', { advertised: 'PLAINTEXT://public:2' })).toEqual(['PLAINTEXT  1 as public:2'])
    expect(doors('PLAINTEXT://:1', { advertised: 'PLAINTEXT://:2' })).toEqual(['PLAINTEXT  1 as :2'])
    const advertised = 'INTERNAL://c:3'
    expect(doors('PLAINTEXT://a:1,INTERNAL://b:2', { ...TWO, advertised })).toEqual([
      'PLAINTEXT a 1',
      'INTERNAL b 2 as c:3',
    ])
  })

  it.each([
    ['PLAINTEXT://0.0.0.0:1', 'nobody can connect to 0.0.0.0'],
    ['PLAINTEXT://[::]:1', 'nobody can connect to ::'],
    ['INTERNAL://a:1', 'listeners has no INTERNAL'],
    ['PLAINTEXT://a:1,PLAINTEXT://b:1', 'names PLAINTEXT twice'],
    ['a:1', "cannot be 'a:1'"],
  ])('cannot be %s', (advertised, sentence) => {
    expect(refusal('PLAINTEXT://:1', { advertised })).toMatch(/^advertised\.listeners /)
    expect(refusal('PLAINTEXT://:1', { advertised })).toContain(sentence)
  })
})
