import t from 'tap'
import type { Desk } from '../../../actors/controller/desk.js'
import { emptyLedger, type Ledger } from '../../../actors/controller/ledger.js'
import type { WindowEvent } from '../../../actors/controller/machine.js'
import { watchPassed } from '../../../actors/controller/passed.js'

// Windows that came and went while nobody looked are lost, and say so.

/** A controller whose journal knows `known`. `fails` says of which window it cannot speak. */
function scene(known: number[] = [], fails: (window: number) => boolean = () => false) {
  const ledgers = new Map(known.map(of => [of, emptyLedger(of, 1)]))
  const lost: number[] = []
  const alarms: object[] = []
  const desk = {
    ledgers: {
      all: () => [...ledgers.values()],
      newestOf: (of: number) => ledgers.get(of),
      of: (of: number, epoch: number) => emptyLedger(of, epoch),
    },
    parts: { log: { error: (facts: object) => alarms.push(facts) } },
    move: async (ledger: Ledger, { type, reason }: Extract<WindowEvent, { reason: string }>) => {
      t.equal(type, 'SUPERSEDED')
      t.match(reason, /no block of it was seen/)
      if (fails(ledger.window)) throw new Error('the broker is away')
      lost.push(ledger.window)
    },
  } as unknown as Desk
  return { tell: watchPassed(desk), lost, alarms }
}

/** Windows told of, by a controller that has seen `following` and whose journal knows `known`. */
async function told(window: number, following: number | undefined, known: number[] = []) {
  const { tell, lost, alarms } = scene(known)
  if (following !== undefined) await tell(following)
  await tell(window)
  return { lost, alarms }
}

t.test('every window between the last one that was followed and the present one', async t => {
  const cases: [window: number, following: number, lost: number[]][] = [
    [900, 900, []],
    [930, 900, []],
    [960, 900, [930]],
    [1_020, 900, [930, 960, 990]],
    [870, 900, []],
  ]
  for (const [window, following, lost] of cases) {
    const { lost: actual, alarms } = await told(window, following)
    t.same(actual, lost, `${following} → ${window}`)
    t.equal(alarms.length, lost.length > 0 ? 1 : 0)
  }
})

t.test('a new controller goes by the journal: an hour without any is a fleet that was switched off', async t => {
  t.same((await told(960, undefined)).lost, [], 'the first window of all')
  t.same((await told(960, undefined, [870, 900])).lost, [930])
  t.same((await told(900 + 11 * 30, undefined, [900])).lost.length, 10)
  t.same((await told(900 + 12 * 30, undefined, [900])).lost, [])
})

t.test('a long outage is told in the log as a whole, and the last windows of it in summaries', async t => {
  const { lost, alarms } = await told(9_000, 900)
  t.same(alarms, [{ first: 930, last: 8_970, windows: 269 }])
  t.equal(lost.length, 20)
  t.equal(lost.at(-1), 8_970)
})

t.test('what could not be told is told with the next block', async t => {
  let away = true
  const { tell, lost } = scene([], window => away && window === 960)
  await tell(900)
  await t.rejects(tell(1_020), /the broker is away/)
  t.same(lost, [930])
  away = false
  await tell(1_020)
  t.same(lost.slice(1), [930, 960, 990], 'said twice, a window is lost once')
  await tell(1_020)
  t.equal(lost.length, 4, 'and nothing more')
})
