import t from 'tap'
import { natsServerAbsent } from '../../helpers/nats-server.js'
import { WEIGHTS as A, type Attempt, fileMaker } from './helpers/file-maker.js'

// One file is of one checkpoint's weights, also where the checkpoint's metadata does not say which.

const B = 'b'.repeat(32)

t.test('a file is of one checkpoint’s weights', { skip: natsServerAbsent }, async t => {
  const make = await fileMaker(t)
  const journal: Attempt['journal'] = [
    [1, B],
    [2, A],
    [3, B],
  ]
  const cases: [what: string, attempt: Omit<Attempt, 'number'>, indices: number[], dropped: Record<number, string>][] =
    [
      ['metadata without a hash: those of the group that was staged first', { journal }, [1, 3], { 2: 'weights_hash' }],
      [
        'of a later attempt too, although the first index is another one’s now',
        { journal: [...journal, [0, A]], before: [2] },
        [1, 3],
        { 0: 'weights_hash' },
      ],
      ['and although the group that decided it was dropped', { journal, before: [1] }, [3], { 2: 'weights_hash' }],
      ['metadata with a hash: those', { journal, published: A }, [2], { 1: 'weights_hash', 3: 'weights_hash' }],
    ]
  for (const [i, [what, attempt, indices, dropped]] of cases.entries())
    t.same(await make({ number: i + 1, ...attempt }), { indices, dropped }, what)
})
