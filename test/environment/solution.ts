import t from 'tap'
import { pythonLength } from '../../src/environment/python-text.js'
import { readTags } from '../../src/environment/solution.js'
import { strip } from '../../src/protocol/python-text.js'

const cases: [title: string, text: string, expected: Partial<ReturnType<typeof readTags>>][] = [
  ['a plain solution', '<SOLUTION>4</SOLUTION>', { solution: '4', trailing: 0, hasThinking: false }],
  ['thinking needs only its closing tag', 'a</think><SOLUTION>4</SOLUTION>', { hasThinking: true, solution: '4' }],
  ['tags match in any case', '</THINK><solution>4</Solution>', { hasThinking: true, solution: '4' }],
  ['the dotless i matches as in Python', '<SOLUT\u0131ON>4</SOLUTION>', { solution: '4' }],
  ['an opening tag alone is no solution', '</think><SOLUTION>4', { solution: undefined, openTags: 1, closeTags: 0 }],
  ['a closing tag alone is no solution', '</SOLUTION>', { solution: undefined, trailing: 0 }],
  [
    'a solution inside the thinking yields to the one after it',
    '<SOLUTION>1</SOLUTION></think><SOLUTION>2</SOLUTION>',
    { solution: '2' },
  ],
  [
    'a solution before the thinking counts when none follows',
    '<SOLUTION>1</SOLUTION></think>',
    { solution: '1', trailing: 8 },
  ],
  ['the other mode’s tags say nothing', '</end_working_out><SOLUTION>1</SOLUTION>', { hasThinking: false }],
  ['what follows is counted in code points', '<SOLUTION>1</SOLUTION>😀é', { trailing: 2 }],
]

for (const [title, text, expected] of cases)
  await t.test(`tags: ${title}`, async t => {
    t.match(readTags(text, 'native'), expected)
  })

await t.test('a hostile completion full of tags is read in linear time', async t => {
  const tags = readTags('</think><SOLUTION>'.repeat(200_000), 'native')
  t.equal(tags.solution, undefined)
  t.equal(tags.openTags, 200_000)
})

await t.test('stripping a long run of white space is linear', async t => {
  t.equal(strip(`a${' '.repeat(1_000_000)}b `).length, 1_000_002)
})

await t.test('white space and lengths are Python’s', async t => {
  t.equal(strip('\x1f\x85\u3000 a b\ufeff \n'), 'a b\ufeff', 'U+001F and U+0085 are space, U+FEFF is not')
  t.equal(pythonLength('a😀\ud800'), 3, 'a lone surrogate counts as one')
})
