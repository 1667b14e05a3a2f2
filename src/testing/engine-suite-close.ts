import type { EngineTest } from './engine-under-test.js'
import { checkRefused } from './expect.js'
import { GroupUnderTest } from './group-under-test.js'
import { promptly } from './patience.js'

/** Tests that close the engine, which only those may that have one of their own. */
export const closeTests: Readonly<Record<string, EngineTest>> = {
  'close ends every wait with OTTLA_CLOSED': async (subject) => {
    const { engine } = subject
    const topic = await subject.topic()
    const { version } = await engine.metadata({ topics: [] })
    const [stable, gathering, assigning] = [
      new GroupUnderTest(engine),
      new GroupUnderTest(engine),
      new GroupUnderTest(engine),
    ]
    const [member, other] = [await stable.single(), await gathering.single()]
    const [, follower] = await assigning.joinBeside(await assigning.single())
    const waits: readonly (readonly [what: string, wait: Promise<unknown>])[] = [
      ['A fetch', subject.fetch(topic, 0, { maxWaitMs: Number.POSITIVE_INFINITY })],
      ['A wait for newer metadata', engine.metadata({ topics: [], newerThan: version })],
      ['A heartbeat that waits', stable.heartbeat(member, { wait: true })],
      ['A join', gathering.joining()],
      ['A sync', assigning.syncing(follower)],
    ]
    const ended = waits.map(([what, wait]) => checkRefused('OTTLA_CLOSED', () => promptly(wait, what), what))
    await gathering.rebalancing(other)
    await engine.close()
    await Promise.all(ended)
  },

  'close may be called again, and at the same time': async (subject) => {
    const { engine } = subject
    const topic = await subject.topic()
    await subject.produce(topic)
    await promptly(Promise.all([engine.close(), engine.close()]), 'Closing twice at the same time')
    await promptly(engine.close(), 'Closing a closed engine')
    await checkRefused('OTTLA_CLOSED', () => subject.produce(topic), 'A produce after the close')
  },
}
