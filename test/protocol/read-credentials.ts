import t from 'tap'
import {
  parseReadCommitment,
  readCommitmentText,
  requireText,
  setCommitmentCall,
} from '../../src/protocol/read-credentials.js'

const credentials = { accountId: 'a'.repeat(32), readAccessKeyId: 'b'.repeat(32), readSecretAccessKey: 'c'.repeat(64) }

t.test('the text is 128 characters, and is read back', t => {
  t.equal(readCommitmentText(credentials), 'a'.repeat(32) + 'b'.repeat(32) + 'c'.repeat(64))
  t.same(parseReadCommitment(readCommitmentText(credentials)), credentials)
  const short = { accountId: ' acc\n', readAccessKeyId: 'key', readSecretAccessKey: 'secret' }
  t.equal(readCommitmentText(short).length, 128)
  t.same(parseReadCommitment(readCommitmentText(short)), { ...short, accountId: 'acc' }, 'trimmed and padded')
  const long = readCommitmentText({ ...credentials, accountId: 'x'.repeat(40) })
  t.equal(long.length, 128, 'cut')
  t.equal(long.slice(0, 33), `${'x'.repeat(32)}b`)
  for (const text of ['', 'a'.repeat(127), 'a'.repeat(129)]) t.equal(parseReadCommitment(text), undefined)
  t.end()
})

t.test('an empty field is refused by its name, never with a value', t => {
  t.throws(() => readCommitmentText({ ...credentials, readSecretAccessKey: ' \t' }), {
    message: 'readSecretAccessKey is missing or empty',
  })
  t.throws(() => requireText('bucket_name', undefined), RangeError)
  t.equal(requireText('bucket_name', ' x '), 'x')
  t.end()
})

t.test('the call in SCALE', t => {
  const { variant, variantIndex, info, call } = setCommitmentCall(81, 'a'.repeat(128))
  t.same([variant, variantIndex], ['Raw128', 129])
  t.equal(info.toString('hex'), `0481${'61'.repeat(128)}`)
  t.equal(call.toString('hex'), `12005100${info.toString('hex')}`)
  t.equal(setCommitmentCall(429, '').call.toString('hex'), '1200ad010401', 'little-endian netuid, Raw0')
  for (const netuid of [-1, 65_536, 1.5]) t.throws(() => setCommitmentCall(netuid, 'a'), RangeError)
  t.throws(() => setCommitmentCall(81, 'é'.repeat(65)), RangeError, '130 bytes of UTF-8')
  t.end()
})
