import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { APIS } from '../../src/protocol/apis.js'
import { isFlexible } from '../../src/protocol/message-codec.js'
import { type Api, type Fields, fieldsIn } from '../../src/protocol/message-table.js'
import { nameOf } from './definition-interpreter.js'
import {
  DEFINITIONS_FIXTURE,
  type DefinedField,
  definitionOf,
  extractDefinitions,
  inRange,
  kafkaDefinitionsExist,
} from './kafka-definitions.js'
import { OTHER_APIS } from './other-apis.js'

const ALL_APIS = [...APIS, ...OTHER_APIS]

describe('the APIs that are spoken', () => {
  it('are those that clients need, in exactly the versions that they need', () => {
    const spoken = APIS.map(({ key, name, versions: [lowest, highest], flexible }) =>
      [key, name, `${lowest}-${highest}`, flexible].join(' '),
    )
    expect(spoken).toEqual([
      '0 Produce 0-13 9',
      '1 Fetch 4-18 12',
      '2 ListOffsets 0-11 6',
      '3 Metadata 0-13 9',
      '8 OffsetCommit 0-10 8',
      '9 OffsetFetch 0-10 6',
      '10 FindCoordinator 0-6 3',
      '11 JoinGroup 0-9 6',
      '12 Heartbeat 0-4 4',
      '13 LeaveGroup 0-5 4',
      '14 SyncGroup 0-5 4',
      '15 DescribeGroups 0-6 5',
      '16 ListGroups 0-5 3',
      '17 SaslHandshake 0-1 never',
      '18 ApiVersions 0-4 3',
      '19 CreateTopics 0-7 5',
      '20 DeleteTopics 0-6 4',
      '21 DeleteRecords 0-2 2',
      '22 InitProducerId 0-5 2',
      '23 OffsetForLeaderEpoch 0-4 4',
      '32 DescribeConfigs 0-4 4',
      '33 AlterConfigs 0-2 2',
      '36 SaslAuthenticate 0-2 2',
      '37 CreatePartitions 0-3 2',
      '42 DeleteGroups 0-2 2',
      '44 IncrementalAlterConfigs 0-1 1',
      '47 OffsetDelete 0-0 never',
      '60 DescribeCluster 0-2 0',
      '75 DescribeTopicPartitions 0-0 0',
    ])
  })
})

describe.each(ALL_APIS)('the table of $name', (api) => {
  it.each(versionsOf(api))("has Kafka's fields in version %i", (version) => {
    for (const direction of ['request', 'response'] as const) {
      const definition = definitionOf(`${api.name}${direction === 'request' ? 'Request' : 'Response'}`, version)
      expect(api.key).toBe(definition.key)
      expect(isFlexible(api, version)).toBe(inRange(version, definition.flexible))
      expect(describeTable(api[direction], version)).toEqual(describeDefinition(definition.fields, version))
    }
  })
})

describe("Kafka's definitions", () => {
  it.skipIf(!kafkaDefinitionsExist())(
    'are in the fixture as Kafka wrote them (skipped where its files are not at hand)',
    async () => {
      const extracted = extractDefinitions(ALL_APIS.map(({ name }) => name))
      expect(await readFile(DEFINITIONS_FIXTURE, 'utf8')).toBe(extracted)
    },
  )
})

function versionsOf({ versions: [lowest, highest] }: Api): number[] {
  return Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i)
}

/** One line for each field, those of structs below their owner. */
function describeTable(fields: Fields, version: number, indent = ''): string[] {
  return fieldsIn(fields, version)
    .filter(({ isPresent }) => isPresent)
    .flatMap(({ name, type, isArray, isNullable, tag, defaultText }) => {
      const isStruct = typeof type !== 'string'
      const fallback = normalDefault(isArray, isStruct ? 'struct' : type, defaultText)
      const line = `${indent}${name} ${isArray ? '[]' : ''}${isStruct ? 'struct' : type}`
      const rest = `${isNullable ? ' null' : ''}${tag === undefined ? '' : ` tag ${tag}`} = ${fallback}`
      return [line + rest, ...(isStruct ? describeTable(type, version, `${indent}  `) : [])]
    })
}

function describeDefinition(fields: readonly DefinedField[], version: number, indent = ''): string[] {
  return fields
    .filter(({ versions }) => inRange(version, versions))
    .flatMap((field) => {
      const isArray = field.type.startsWith('[]')
      const type = field.fields === undefined ? field.type.replace('[]', '') : 'struct'
      const fallback = normalDefault(isArray, type, field.default)
      const line = `${indent}${nameOf(field)} ${isArray ? '[]' : ''}${type}`
      const tag = inRange(version, field.tagged) ? ` tag ${field.tag}` : ''
      return [
        `${line}${inRange(version, field.nullable) ? ' null' : ''}${tag} = ${fallback}`,
        ...(field.fields === undefined ? [] : describeDefinition(field.fields, version, `${indent}  `)),
      ]
    })
}

/** Kafka writes one default in several ways. */
function normalDefault(isArray: boolean, type: string, text: string | undefined): string {
  if (text === 'null') return 'null'
  if (isArray || type === 'struct' || type === 'bytes' || type === 'records') return text ?? 'empty'
  if (type === 'string' || type === 'uuid') return `'${text ?? ''}'`
  if (type === 'bool') return text ?? 'false'
  return String(BigInt(text ?? 0))
}
