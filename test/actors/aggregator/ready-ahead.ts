import t from 'tap'
import { BrokerError } from '../../../nats/index.js'
import { natsServerAbsent } from '../../helpers/nats-server.js'
import { type Attempt, fileMaker, WEIGHTS } from './helpers/file-maker.js'

// While one group is still being made, those behind it wait for their place in the file, judged and signed.

const SIGNATURES = 2 * 16

t.test(
  'groups behind one that is being made are ready when it comes, or when the window closes',
  { skip: natsServerAbsent },
  async t => {
    const make = await fileMaker(t)
    const other = 'b'.repeat(32)
    const cases: [
      what: string,
      staged: [index: number, weights: string][],
      comes: boolean,
      signed: number,
      indices: number[],
      dropped: Record<number, string>,
    ][] = [
      [
        'it comes',
        [
          [1, WEIGHTS],
          [2, WEIGHTS],
        ],
        true,
        2,
        [0, 1, 2],
        {},
      ],
      [
        'it does not: its place is left out',
        [
          [2, WEIGHTS],
          [1, WEIGHTS],
        ],
        false,
        2,
        [1, 2],
        {},
      ],
      [
        'one of them is refused',
        [
          [1, WEIGHTS],
          [2, other],
          [3, WEIGHTS],
        ],
        true,
        2,
        [0, 1, 3],
        { 2: 'weights_hash' },
      ],
      [
        'as many as 32 of them',
        Array.from({ length: 40 }, (_, i) => [i + 1, WEIGHTS]),
        true,
        32,
        Array.from({ length: 41 }, (_, i) => i),
        {},
      ],
    ]
    for (const [i, [what, journal, comes, readyGroups, indices, dropped]] of cases.entries()) {
      let signatures = 0
      let closed = false
      let before: number | undefined
      const attempt: Attempt = {
        number: i + 1,
        journal,
        sealNow: () => closed,
        onSign: () => signatures++,
        async meanwhile(stage) {
          before ??= signatures
          if (comes) await stage(0, WEIGHTS)
          closed = true
        },
      }
      t.same(await make(attempt), { indices, dropped }, what)
      t.equal(before, readyGroups * SIGNATURES, `${what}: ${readyGroups} were ready`)
      t.equal(signatures, indices.length * SIGNATURES, 'and none was signed twice')
    }
  },
)

t.test('a group that cannot be read ahead is read in its turn', { skip: natsServerAbsent }, async t => {
  const make = await fileMaker(t)
  let refused = 0
  let closed = false
  const made = await make({
    number: 1,
    journal: [
      [1, WEIGHTS],
      [2, WEIGHTS],
    ],
    sealNow: () => closed,
    rollouts: there => ({
      ...there,
      async get(name, patience) {
        if (closed) return there.get(name, patience)
        refused++
        throw new BrokerError('timeout', 'the broker is away')
      },
    }),
    async meanwhile() {
      closed = true
    },
  })
  t.same(made, { indices: [1, 2], dropped: {} })
  t.equal(refused, 1, 'after one that failed it waits for something to change')
})
