// The driver of every client that has an agent: passes the operations on, one process for the client and one a member.
import { follow } from '../processes.mjs'

const limitMs = 180_000

/** `program` is {command, args, env}; `cannot` names the operations that the client has not. */
export function agentDriver(program, bootstrapServers, { codecs, cannot = [] }) {
  let main
  const agent = () => {
    if (main === undefined || !main.isRunning()) main = startAgent(program, bootstrapServers)
    return main
  }
  const operations = {}
  for (const op of OPERATIONS) {
    if (!cannot.includes(op)) operations[op] = (request = {}) => agent().request(op, request)
  }
  return {
    codecs,
    emptyValues: true,
    setsTimestamps: true,
    consumeFromTime: cannot.includes('consumeFromTime') ? undefined : true,
    ...operations,
    /** Starts a member in a process of its own, that it can be killed. */
    join: async (request) => {
      const records = []
      const own = startAgent(program, bootstrapServers, (record) => records.push(record))
      await own.request('join', request)
      return {
        records,
        leave: async () => {
          await own.request('leave')
          await own.close()
        },
        kill: own.kill,
      }
    },
    close: () => main?.close(),
  }
}

const OPERATIONS = [
  'createTopic',
  'describeTopic',
  'listTopics',
  'alterTopic',
  'deleteTopic',
  'produce',
  'consume',
  'produceMany',
  'checksum',
  'lag',
  'deleteRecords',
  'deleteOffsets',
]

export function startAgent({ command, args = [], env = {} }, bootstrapServers, onRecord) {
  const waiting = new Map()
  let lastId = 0
  const process_ = follow(command, args, {
    env: { ...process.env, ...env, OTTLA_BOOTSTRAP_SERVERS: bootstrapServers },
    onLine: (line) => {
      if (!line.startsWith('{')) return
      const { id, value, error, record } = JSON.parse(line)
      if (record !== undefined) return onRecord(record)
      const { resolve, reject } = waiting.get(id)
      waiting.delete(id)
      if (error === undefined) resolve(value)
      else reject(new Error(error))
    },
  })
  let reason
  void process_.ended.then(({ code, error }) => {
    reason = error ?? new Error(`the agent ended with ${code}:\n${process_.errors.slice(-20).join('\n')}`)
    for (const { reject } of waiting.values()) reject(reason)
  })
  return {
    isRunning: process_.isRunning,
    kill: process_.kill,
    request: (op, request) =>
      new Promise((resolve, reject) => {
        if (reason !== undefined) throw reason
        const id = ++lastId
        const limit = setTimeout(() => {
          reject(new Error(`${op}: no answer after ${limitMs} ms\n${process_.errors.slice(-20).join('\n')}`))
          void process_.kill()
        }, limitMs)
        const settled = (settle) => (outcome) => {
          clearTimeout(limit)
          settle(outcome)
        }
        waiting.set(id, { resolve: settled(resolve), reject: settled(reject) })
        process_.child.stdin.write(`${JSON.stringify({ ...request, id, op })}\n`)
      }),
    close: async () => {
      process_.child.stdin.end()
      const limit = setTimeout(process_.kill, 20_000)
      await process_.ended
      clearTimeout(limit)
    },
  }
}
