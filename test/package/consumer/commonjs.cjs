const assert = require('node:assert/strict')
const { Broker, OttlaError, Topic } = require('ottla')
const { ManualClock } = require('ottla/testing')

async function main() {
  assert.equal(Broker.name, 'Broker')
  assert.equal(typeof ManualClock, 'function')

  const orders = new Topic('orders', { partitions: 2 })
  const broker = await Broker.open()
  await broker.topic(orders)
  const seen = []
  await broker.consumerGroup('billing', { topics: [orders] }).run((message) => seen.push(message.value))
  const { offset } = await broker.producer().send(orders, { key: 'alice', value: { total: 3 } })
  await broker.idle()
  assert.equal(offset, 0)
  assert.deepEqual(seen, [{ total: 3 }])

  await assert.rejects(broker.producer().send(orders, { value: undefined }), (error) => {
    assert.ok(OttlaError.is(error))
    assert.match(String(error), /^OttlaError: /)
    return true
  })
  await broker.close()
  console.log('done')
}

main()
