import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { readVocabulary } from '../../src/engine/rehearsal/vocabulary.js'

const folder = await mkdtemp(join(tmpdir(), 'vocabulary-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))

async function read(vocab: unknown) {
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ model: { vocab } }))
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ eos_token: '</s>' }))
  return readVocabulary(folder, 'native')
}

t.test('a vocabulary is ids by piece, or pieces with their scores in the order of their ids', async t => {
  const cases: [what: string, vocab: unknown][] = [
    ['by piece', { a: 0, b: 1, '</s>': 2 }],
    [
      'in a list',
      [
        ['a', -1.5],
        ['b', -2],
        ['</s>', 0],
      ],
    ],
  ]
  for (const [what, vocab] of cases) {
    const { plain, eosTokenId, vocabSize } = await read(vocab)
    t.same({ plain: [...plain], eosTokenId, vocabSize }, { plain: [0, 1], eosTokenId: 2, vocabSize: 3 }, what)
  }
})

t.test('anything else is refused by the name of its file', async t => {
  const cases: [what: string, vocab: unknown][] = [
    ['none', undefined],
    ['null', null],
    ['a text', 'a b c'],
    ['an id that is no whole number', { a: 0.5, '</s>': 1 }],
    ['an id that is a text', { a: '0', '</s>': 1 }],
    ['a list of pieces without scores', ['a', '</s>']],
    ['a score that is no number', [['a', '0']]],
    ['a piece that is no text', [[7, 0]]],
  ]
  for (const [what, vocab] of cases)
    await t.rejects(read(vocab), { message: /tokenizer\.json: .*neither ids by piece nor a list/s }, what)
})
