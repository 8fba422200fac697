import t from 'tap'
import { byCodePoint, canonicalJson, hashOfCommitments } from '../../src/protocol/canonical-json.js'
import { parsePythonJson } from '../../src/protocol/python-json.js'
import { floatRepr, pythonFloat, pythonInt } from '../../src/protocol/python-number.js'
import { exactSum, pythonSum } from '../../src/protocol/python-sum.js'
import { strip } from '../../src/protocol/python-text.js'

t.test('int() of text', t => {
  const read: [string, bigint][] = [
    ['12', 12n],
    [' -5\n', -5n],
    ['+1_000', 1000n],
    ['７８', 78n],
    ['𝟙𝟚', 12n],
    ['1'.repeat(30), BigInt('1'.repeat(30))],
  ]
  for (const [text, value] of read) t.equal(pythonInt(text), value, JSON.stringify(text))
  for (const text of ['', '1.0', '1e3', '0x10', '1__0', '_1', '1_', '- 1', 'inf', '²', '\x1f7', '9'.repeat(4301)])
    t.throws(() => pythonInt(text), RangeError, JSON.stringify(text.slice(0, 10)))
  t.throws(() => pythonInt(null), TypeError)
  t.throws(() => pythonInt([]), TypeError)
  t.end()
})

t.test('float() of text', t => {
  const read: [string, number][] = [
    ['1', 1],
    [' .5 ', 0.5],
    ['1_0.5', 10.5],
    ['1.e2', 100],
    ['-Infinity', Number.NEGATIVE_INFINITY],
    ['iNf', Number.POSITIVE_INFINITY],
    ['nan', Number.NaN],
  ]
  for (const [text, value] of read) t.ok(Object.is(pythonFloat(text), value), JSON.stringify(text))
  for (const text of ['', '.', 'e5', '1e', '0x1', '1,5', '1 2', 'infinit', '0.1_'])
    t.throws(() => pythonFloat(text), RangeError, JSON.stringify(text))
  t.throws(() => pythonFloat(10n ** 400n), RangeError)
  t.end()
})

t.test('repr() of floats', t => {
  const cases: [number, string][] = [
    [1, '1.0'],
    [-0, '-0.0'],
    [100, '100.0'],
    [1e15, '1000000000000000.0'],
    [1e16, '1e+16'],
    [9_999_999_999_999_998, '9999999999999998.0'],
    [1e-4, '0.0001'],
    [1e-5, '1e-05'],
    [1.5e-7, '1.5e-07'],
    [1e22, '1e+22'],
    [5e-324, '5e-324'],
    [0.1 + 0.2, '0.30000000000000004'],
    [Math.fround(-0.1), '-0.10000000149011612'],
  ]
  for (const [value, text] of cases) t.equal(floatRepr(value), text)
  t.end()
})

t.test('sums round as Python rounds them', t => {
  t.equal(pythonSum(new Array(10).fill(0.1)), 1, 'compensated, as since Python 3.12')
  t.equal(pythonSum([1e308, 1e308, -1e308]), Number.POSITIVE_INFINITY)
  t.equal(pythonSum([]), 0)
  t.equal(exactSum([1e100, 1, -1e100]), 1)
  t.equal(exactSum([0.1, 0.2, 0.3, -0.6]), 2.7755575615628914e-17)
  t.equal(exactSum([]), 0)
  t.end()
})

t.test('strip() removes what Python calls white space', t => {
  t.equal(strip('\x1c\u0085\u00a0 a b \u3000\n'), 'a b')
  t.equal(strip('\ufeffa'), '\ufeffa', 'a byte order mark stays')
  t.end()
})

t.test('JSON is read as json.loads reads it', t => {
  const read: [source: string, canonical: string][] = [
    ['[1, 1.0, 1e0, -0, -0.0]', '[1,1.0,1.0,0,-0.0]'],
    ['[18446744073709551616]', '[18446744073709551616]'],
    ['[NaN, Infinity, -Infinity]', '[NaN,Infinity,-Infinity]'],
    ['{"b": 1, "a": {"z": [], "y": {}}, "b": 2}', '{"a":{"y":{},"z":[]},"b":2}'],
    ['"\\u4f60\\ud83d\\ude00\\u007f/\\/"', '"\\u4f60\\ud83d\\ude00\\u007f//"'],
    ['"\\ud83d"', '"\\ud83d"'],
    ['{"__proto__": 1}', '{"__proto__":1}'],
  ]
  for (const [source, canonical] of read) t.equal(canonicalJson(parsePythonJson(source)), canonical, source)
  const refused = [
    '',
    '[',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    '[01]',
    '[1.]',
    '[.5]',
    '[+1]',
    '"\n"',
    '"\\x"',
    '[1] 2',
    '\ufeff[]',
    'nul',
  ]
  for (const source of refused) t.throws(() => parsePythonJson(source), SyntaxError, JSON.stringify(source))
  t.throws(() => parsePythonJson('['.repeat(100_000)), SyntaxError, 'deep nesting is refused, not followed')
  t.throws(() => parsePythonJson('9'.repeat(5000)), SyntaxError, 'so are endless integers')
  t.end()
})

t.test('keys are sorted by code point, and what cannot be sorted hashes as nothing', t => {
  t.same(['\u{1f600}', '\uffff', 'a', 'B', ''].sort(byCodePoint), ['', 'B', 'a', '\uffff', '\u{1f600}'])
  const mixed = [
    new Map<string | bigint, bigint>([
      [1n, 2n],
      ['a', 3n],
    ]),
  ]
  t.throws(() => canonicalJson(mixed), TypeError)
  t.equal(hashOfCommitments(mixed).toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  t.end()
})
