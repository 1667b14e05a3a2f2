import { it } from 'vitest'
import { onceAndInOrder, onceThoughForgotten, onceUnlessRefused } from '../client/idempotence.js'

it('an idempotent producer has each message in the log once and in order, whatever fails and however', () =>
  onceAndInOrder(5_000))

it('an idempotent producer has each message that was not refused once and in order', () => onceUnlessRefused(5_000))

it('an idempotent producer that the log has forgotten has each message in it once', () => onceThoughForgotten(2_000))
