// One process that holds two copies of ottla, as an app does whose dependencies load it in both formats.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import * as esm from 'ottla'
import * as esmTesting from 'ottla/testing'

const require = createRequire(import.meta.url)
const commonjs = require('ottla')
const commonjsTesting = require('ottla/testing')
assert.notEqual(esm.Broker, commonjs.Broker)
assert.deepEqual(Object.keys(esm).sort(), Object.keys(commonjs).sort())
assert.deepEqual(Object.keys(esmTesting).sort(), Object.keys(commonjsTesting).sort())

await useBroker(commonjs, esm)
await useBroker(esm, commonjs)
await runSuite(esmTesting, commonjs)
await runSuite(commonjsTesting, esm)
await runSuite(esmTesting, esm)
await runSuite(commonjsTesting, commonjs)
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
