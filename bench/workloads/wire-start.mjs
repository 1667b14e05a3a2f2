import { join } from 'node:path'
import { againstKafka, BROKERS, prepareBroker, sideBySide } from './peers/wire-brokers.mjs'

export const workload = {
  name: 'wire-start',
  title: 'A broker from its start to the open port',
  settings: [
    'from the spawn of the process until its port takes a connection, over a directory that it has used before',
    "ottla: `ottla server-start` with a server.properties, Kafka's defaults",
    'Apache Kafka: broker and controller in one process, formatted beforehand, -Xmx1G',
    'resident memory: VmRSS when the port is open, before any client came',
  ],
  rows: [
    againstKafka('start', { id: '110', label: 'start to port open', better: 'lower', unit: 'ms', goal: 0.0333 }),
    againstKafka('memory', { id: '111', label: 'resident memory, fresh', better: 'lower', unit: 'bytes' }),
  ],
  tables: [
    sideBySide('Brokers at their start', { start: 'start to port open, ms', memory: 'resident memory, fresh, bytes' }),
  ],
  repetitions: 7,
  warmups: 1,
  async open({ directory }) {
    const contenders = {}
    for (const name of BROKERS) {
      const start = await prepareBroker(name, join(directory, name.replaceAll(' ', '-')))
      contenders[name] = async () => {
        const broker = await start()
        const values = { start: broker.startMs, memory: broker.residentBytes() }
        await broker.stop()
        return { values }
      }
    }
    return { contenders, close: async () => {} }
  },
}
