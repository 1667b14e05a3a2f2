import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { torture } from './rounds.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
    child: { type: 'string', default: '' },
  },
})
const place = mkdtempSync(join(tmpdir(), 'ottla-torture-'))
const seed = Number(values.seed)
const startedAt = Date.now()
console.log(`Killing ${values.rounds} times with seed ${seed}, in ${place}`)
const findings = await torture({
  rounds: Number(values.rounds),
  seed,
  directory: join(place, 'data'),
  child: values.child,
  onRound: (round, { acknowledged, tornTails }) => {
    if (round % 25 === 0) console.log(`round ${round}: ${acknowledged} acknowledged, ${tornTails} torn ends cut`)
  },
})
console.log(findings, `in ${Math.round((Date.now() - startedAt) / 1000)} s`)
// Only what went well is cleared away: the rest is evidence.
rmSync(place, { recursive: true })
