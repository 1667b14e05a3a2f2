import { SERVER_KEYS } from '../../src/cli/server-keys.js'
import { UNUSED_KEYS } from '../../src/cli/unused-keys.js'

/** The rows that docs/kafka-compatibility.md has for the keys of a server.properties, from the table that reads them. */
export function keyRows(): string[] {
  return SERVER_KEYS.map(({ name, values, kafkaDefault, use, reason }) => {
    const here = use ?? `Without effect: ${reason}.`
    return `| \`${name}\` | ${values.type}, ${values.allowed} | ${kafkaDefault === '' ? '' : `\`${kafkaDefault}\``} | ${here} |`
  })
}

export function unusedKeyRows(): string[] {
  return UNUSED_KEYS.map(({ reason, keys }) => {
    const names = Object.keys(keys).map((name) => `\`${name}\``)
    return `| ${reason} | ${names.join(', ')} |`
  })
}
