import t from 'tap'
import { isBrokerError, message } from '../../nats/index.js'

const utf8 = new TextEncoder()

const staged = message('grail.window.{window:int}.{epoch:int}.staged.{index:int}', {
  parse: value => {
    const { sha256 } = value as { sha256?: unknown }
    if (typeof sha256 !== 'string') throw new Error('sha256 is not a text')
    return { sha256 }
  },
  id: ({ sha256 }, { window, epoch, index }) => `${window}.${epoch}.${index}.${sha256}`,
})
const named = message('fleet.{role}.here', { parse: value => value as string })

/** The code of what a call throws. */
const codeOf = (call: () => unknown) => {
  try {
    call()
  } catch (e) {
    return isBrokerError(e) ? e.code : 'foreign'
  }
  return 'nothing thrown'
}

await t.test('a subject is filled from its holes', async t => {
  t.equal(staged.at({ window: 900, epoch: 0, index: 3 }), 'grail.window.900.0.staged.3')
  t.equal(named.at({ role: 'generator-3' }), 'fleet.generator-3.here')
  t.equal(named.at({ role: 7 }), 'fleet.7.here')
})

await t.test('a missing, an unknown and an ill-typed hole are type errors', async t => {
  // @ts-expect-error index is missing
  const missing = () => staged.at({ window: 900, epoch: 0 })
  // @ts-expect-error there is no hole named group
  const unknown = () => staged.at({ window: 900, epoch: 0, index: 3, group: 1 })
  // @ts-expect-error window is a number
  const text = () => staged.at({ window: 'nine', epoch: 0, index: 3 })
  t.equal(codeOf(missing), 'invalid')
  t.equal(unknown(), 'grail.window.900.0.staged.3')
  t.equal(codeOf(text), 'invalid')
})

await t.test('what cannot stand in a subject is refused', async t => {
  for (const role of ['', 'a.b', '*', '>', 'a b', 'a\tb', 'a\r\nb'])
    t.equal(
      codeOf(() => named.at({ role })),
      'invalid',
      JSON.stringify(role),
    )
  for (const index of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 1e21])
    t.equal(
      codeOf(() => staged.at({ window: 900, epoch: 0, index })),
      'invalid',
      String(index),
    )
})

await t.test('all subjects of a message, and those with some holes filled', async t => {
  t.equal(staged.wildcard, 'grail.window.*.*.staged.*')
  t.equal(staged.matching({ window: 900, epoch: 1 }), 'grail.window.900.1.staged.*')
  t.equal(staged.matching({}), staged.wildcard)
})

await t.test('holes are read back from a subject of this message only', async t => {
  t.same(staged.holes('grail.window.900.0.staged.3'), { window: 900, epoch: 0, index: 3 })
  t.same(named.holes('fleet.generator-3.here'), { role: 'generator-3' })
  for (const other of [
    'grail.window.900.0.dropped.3',
    'grail.window.900.0.staged',
    'grail.window.900.0.staged.3.4',
    'grail.window.900.0.staged.three',
    'grail.window.0900.0.staged.3',
    'grail.window.-900.0.staged.3',
  ])
    t.equal(staged.holes(other), undefined, other)
})

await t.test('a payload travels as JSON', async t => {
  const bytes = staged.encode({ sha256: 'ab' })
  t.equal(new TextDecoder().decode(bytes), '{"sha256":"ab"}')
  t.same(staged.decode(bytes), { sha256: 'ab' })
})

await t.test('bytes that are no payload are refused by the name of the message', async t => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(), /JSON/],
    ['no JSON', utf8.encode('{'), /JSON/],
    ['no UTF-8', new Uint8Array([0x22, 0xff, 0x22]), /utf-8/i],
    ['other JSON', utf8.encode('{"sha256":1}'), /sha256 is not a text/],
  ]
  for (const [title, bytes, says] of cases) {
    t.throws(() => staged.decode(bytes), { message: says }, title)
    t.throws(() => staged.decode(bytes), { message: /^grail\.window\.\{window:int\}/ }, title)
    t.equal(
      codeOf(() => staged.decode(bytes)),
      'payload',
      title,
    )
  }
})

await t.test('the same said twice has the same id', async t => {
  const holes = { window: 900, epoch: 0, index: 3 }
  t.equal(staged.id({ sha256: 'ab' }, holes), staged.id({ sha256: 'ab' }, holes))
  t.not(staged.id({ sha256: 'ab' }, holes), staged.id({ sha256: 'cd' }, holes))
  t.equal(named.id, undefined)
})

await t.test('a template that is none is refused where it is declared', async t => {
  const parse = (value: unknown) => value
  for (const template of ['', 'a..b', 'a.{b', 'a.x{b}', 'a.*', 'a.>', 'a b', 'a.{b:float}'])
    t.equal(
      codeOf(() => message(template, { parse })),
      'invalid',
      template,
    )
})
