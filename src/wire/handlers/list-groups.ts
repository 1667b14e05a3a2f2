import { KafkaError } from '../../protocol/kafka-errors.js'
import { listGroups } from '../../protocol/messages/list-groups.js'
import { type Handler, handler } from '../handler.js'

/** Kafka's name for groups whose leader assigns. */
const CLASSIC = 'classic'

/** States and types may be written in any case. */
export const onListGroups: Handler = handler(listGroups, async ({ statesFilter, typesFilter }, { engine }) => {
  const states = lowerCase(statesFilter)
  const types = lowerCase(typesFilter)
  const groups = await engine.listGroups()
  return {
    errorCode: KafkaError.none,
    groups: groups
      .filter(({ state }) => states.size === 0 || states.has(state.toLowerCase()))
      .filter(() => types.size === 0 || types.has(CLASSIC))
      .map(({ groupId, protocolType, state }) => ({ groupId, protocolType, groupState: state, groupType: CLASSIC })),
  }
})

function lowerCase(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()))
}
