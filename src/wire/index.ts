export { type Listener, type ListenOptions, listen } from './server.js'
