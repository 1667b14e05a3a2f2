import { string, Topic } from 'ottla'
import { expect, it } from 'vitest'
import { deleteTopics } from '../../src/protocol/messages/delete-topics.js'
import { doors } from './listeners.js'

const open = doors()
const notes = new Topic('notes', { value: string() })

it('leaves topics where they are when clients may not delete them, and says so', async () => {
  const { broker, client } = await open({ deleteTopics: false })
  await broker.topic(notes)
  const wire = await client()
  const byName = { topics: [{ name: 'notes', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }], topicNames: ['notes', 'none'] }
  const answers = []
  for (const version of [1, 3, 6]) {
    const { responses } = await wire.request(deleteTopics, version, { ...byName, timeoutMs: 1000 })
    answers.push(responses.map(({ name, errorCode }) => [name, errorCode]))
  }
  expect(answers).toEqual([
    [
      ['notes', 42],
      ['none', 42],
    ],
    [
      ['notes', 73],
      ['none', 73],
    ],
    [['notes', 73]],
  ])
  expect(await broker.topics()).toEqual(['notes'])
})
