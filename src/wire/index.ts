export { type Listener, type ListenOptions, listen, type SaslOptions } from './server.js'
