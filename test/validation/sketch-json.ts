import t from 'tap'
import { parsePythonJson } from '../../src/protocol/python-json.js'
import { sketchesOfJson } from '../../src/validation/sketch-json.js'
import { seededRandom } from '../helpers/group.js'

const list = (text: string) => {
  const sketches = sketchesOfJson(text)
  return sketches && [...sketches]
}

t.test('commitments as Python and as we write them', t => {
  t.strictSame(list('[]'), [])
  t.strictSame(list('[{"sketch": 1206492277}, {"sketch": 0}]'), [1_206_492_277, 0])
  t.strictSame(list('[{"sketch":2147483646},{"sketch":7}]'), [2_147_483_646, 7])
  t.strictSame(list('[ { "sketch" : 1 } ] '), [1])
  t.end()
})

t.test('anything else is left to a full parser', t => {
  for (const text of [
    '',
    '{}',
    '[',
    '[{"sketch":1}',
    '[{"sketch":1}]x',
    '[{"sketch":1},]',
    '[{"sketch":}]',
    '[{"sketch":01}]',
    '[{"sketch":-1}]',
    '[{"sketch":1.0}]',
    '[{"sketch":1e3}]',
    '[{"sketch":"1"}]',
    '[{"sketch":NaN}]',
    '[{"sketch":2147483648}]',
    '[{"sketch":99999999999}]',
    '[{"sketch":1,"position":2}]',
    '[{"sketches":1}]',
    '[{"sketch":1}{"sketch":2}]',
    '[{"Sketch":1}]',
  ])
    t.equal(list(text), undefined, text)
  t.end()
})

t.test('where it answers, Python answers the same', t => {
  const random = seededRandom(7)
  const alphabet = '[]{}":, 0123456789.-sketch'
  let answered = 0
  for (let round = 0; round < 20_000; round++) {
    const text = [...'[{"sketch":12},{"sketch": 0}]']
    for (let i = 0; i < 1 + Math.floor(random() * 2); i++)
      text[Math.floor(random() * text.length)] = alphabet[Math.floor(random() * alphabet.length)] as string
    const mine = list(text.join(''))
    if (!mine) continue
    answered++
    const python = parsePythonJson(text.join('')) as Map<string, bigint>[]
    t.strictSame(
      mine,
      python.map(item => Number(item.get('sketch'))),
    )
  }
  t.ok(answered > 100, `${answered} of 20000`)
  t.end()
})
