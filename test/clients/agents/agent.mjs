// The frame of an agent: it reads one JSON request a line, {id, op, ...arguments}, and answers {id, value} or {id, error}.
// A member of a group also tells its records as they come: {record}. See README.md beside this file.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'

/** Gets a package that lies outside this repository's own. */
export function requireClient(name) {
  return createRequire(`${process.env.OTTLA_CLIENT_FOLDER}/`)(name)
}

export const bootstrapServers = process.env.OTTLA_BOOTSTRAP_SERVERS

/** What the message with this number holds in the scenario of 100,000. */
export const numbered = (index) => `${index}:${'x'.repeat(index % 100)}`

export function tell(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

export function serve(operations) {
  createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const { id, op, ...request } = JSON.parse(line)
      try {
        tell({ id, value: (await operations[op](request)) ?? null })
      } catch (error) {
        tell({ id, error: inspect(error) })
      }
    })
    .on('close', () => process.exit(0))
}
