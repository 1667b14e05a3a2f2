// One process that holds two copies of ottla, as an app does whose dependencies load it in both formats.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import * as esm from 'ottla'
import * as esmTesting from 'ottla/testing'
import * as esmWire from 'ottla/wire'

const require = createRequire(import.meta.url)
const commonjs = require('ottla')
const commonjsTesting = require('ottla/testing')
const commonjsWire = require('ottla/wire')
assert.notEqual(esm.Broker, commonjs.Broker)
assert.deepEqual(Object.keys(esm).sort(), Object.keys(commonjs).sort())
assert.deepEqual(Object.keys(esmTesting).sort(), Object.keys(commonjsTesting).sort())

await useBroker(commonjs, esm)
await useBroker(esm, commonjs)
await runSuite(esmTesting, commonjs)
await runSuite(commonjsTesting, esm)
await runSuite(esmTesting, esm)
await runSuite(commonjsTesting, commonjs)
await openDoor(esmWire, commonjs)
await openDoor(commonjsWire, esm)
console.log('done')

/** Uses a broker and a storage of one copy with topics, codecs and error checks of the other. */
async function useBroker(ours, theirs) {
  const orders = new theirs.Topic('orders', { partitions: 2, value: theirs.json() })
  const broker = await ours.Broker.open({ storage: new theirs.MemoryStorage() })
  await broker.topic(orders)
  const seen = []
  await broker.consumerGroup('billing', { topics: [orders] }).run((message) => {
    if (orders.is(message)) seen.push(message.value)
  })
  await broker.producer().send(orders, [
    { key: 'a', value: 1 },
    { key: 'a', value: 2 },
  ])
  await broker.idle()
  assert.deepEqual(seen, [1, 2])

  await assert.rejects(broker.producer().send(orders, { value: undefined }), (error) => {
    assert.ok(theirs.OttlaError.is(error) && ours.OttlaError.is(error))
    assert.equal(error.code, 'OTTLA_INVALID_ARGUMENT')
    return true
  })
  await broker.close()
}

/** Puts a storage of one copy through the suite of the other's 'ottla/testing'. */
async function runSuite(testing, copy) {
  const cases = []
  testing.storageSuite({
    test: (name, body) => cases.push({ name, body }),
    factory: () => new copy.MemoryStorage(),
  })
  assert.notEqual(cases.length, 0)
  for (const { body } of cases) await body()
}

/** Lets the listener of one copy serve a broker of the other. */
async function openDoor(wire, copy) {
  const broker = await copy.Broker.open()
  const listener = await wire.listen(broker)
  const socket = connect(listener.port, '127.0.0.1')
  // ApiVersions 0, with correlation id 7 and no client id.
  socket.write(Buffer.from('0000000a' + '0012' + '0000' + '00000007' + 'ffff', 'hex'))
  const [answer] = await once(socket, 'data')
  assert.equal(answer.readInt32BE(4), 7)
  assert.equal(answer.readInt16BE(8), 0)
  socket.destroy()
  await assert.rejects(wire.listen({}), (error) => copy.OttlaError.is(error))
  await listener.close()
  await broker.close()
}
