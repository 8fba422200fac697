import t from 'tap'
import {
  type Alive,
  claimsOf,
  decodeClaim,
  encodeClaim,
  LIST_GRACE_MS,
  type OwnedClaim,
  orphans,
} from '../../src/window/claim.js'

const STORED = 1_000_000
const claim = (index: number, generator = 'a', boot = '1'): OwnedClaim => ({
  index,
  generator,
  boot,
  checkpointWindow: 0,
  atMs: STORED,
  storedMs: STORED,
})
const alive = (boot: string, inFlight: number[], seenMs = STORED + 60_000): Alive => ({ boot, inFlight, seenMs })

t.test('an index is an orphan when nobody works on it', t => {
  const cases: [string, OwnedClaim[], number[], [string, Alive][], number[]][] = [
    ['its generator is gone', [claim(0)], [], [], [0]],
    ['its generator lists it', [claim(0)], [], [['a', alive('1', [0])]], []],
    ['it is settled', [claim(0)], [0], [], []],
    ['its generator was started anew since', [claim(0)], [], [['a', alive('2', [])]], [0]],
    ['another generator took it over', [claim(0)], [], [['b', alive('1', [0])]], []],
    ['its live generator has since spoken without it', [claim(0)], [], [['a', alive('1', [])]], [0]],
    [
      'its live generator has not spoken since the claim',
      [claim(0)],
      [],
      [['a', alive('1', [], STORED + LIST_GRACE_MS - 1)]],
      [],
    ],
    ['several are left: the lowest comes first', [claim(7), claim(2), claim(4)], [4], [], [2, 7]],
  ]
  for (const [what, claims, settled, generators, expected] of cases)
    t.same(orphans({ claims, settled: new Set(settled), alive: new Map(generators) }), expected, what)
  t.end()
})

t.test('a slow but live generator keeps its index however long it takes', t => {
  const hours = 3_600_000
  t.same(
    orphans({ claims: [claim(3)], settled: new Set(), alive: new Map([['a', alive('1', [3], STORED + hours)]]) }),
    [],
  )
  t.end()
})

t.test('a claim says who made it and reads back the same; anything else is refused', t => {
  const said = { generator: 'generator-host-0', boot: 'ab12', checkpointWindow: 870, atMs: 5 }
  t.same(decodeClaim(encodeClaim(said)), said)
  for (const bytes of ['', '{}', '{"generator":"a"}', JSON.stringify({ ...said, more: 1 })])
    t.throws(() => decodeClaim(new TextEncoder().encode(bytes)), bytes)
  t.equal(claimsOf(900, 2), 'grail_claims_900_2', 'every name carries window and epoch')
  t.end()
})
