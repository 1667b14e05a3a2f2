// Opens the log in the directory that is given, sends one message, and ends as a process that crashes.
import { Broker, bytes, FileStorage, Topic } from '../../../dist/index.js'

const broker = await Broker.open({ storage: new FileStorage(process.argv[2] ?? '', { durability: 'os' }) })
await broker.producer().send(new Topic('log', { value: bytes() }), { value: new Uint8Array(1024) })
process.kill(process.pid, 'SIGKILL')
