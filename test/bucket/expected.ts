import t from 'tap'
import { isMd5, multipartEtag, singleEtag } from '../../src/bucket/expected.js'

await t.test('the etag of one PUT is the MD5 of its bytes', async t => {
  t.equal(singleEtag(new Uint8Array()), 'd41d8cd98f00b204e9800998ecf8427e')
  t.equal(singleEtag(Buffer.from('hello')), '5d41402abc4b2a76b9719d911017c592')
})

await t.test('the etag of a multipart upload is the MD5 of the binary MD5s and their number', async t => {
  // The example of Cloudflare's documentation, developers.cloudflare.com/r2/objects/multipart-objects.
  const parts = ['bce6bf66aeb76c7040fdd5f4eccb78e6', '8165449fc15bbf43d3b674595cbcc406']
  t.equal(multipartEtag(parts), 'f77dc0eecdebcd774a2a22cb393ad2ff-2')
  t.not(multipartEtag(parts.toReversed()), multipartEtag(parts), 'the order counts')
  t.not(multipartEtag([singleEtag(Buffer.from('a'))]), singleEtag(Buffer.from('a')), 'one part is not one PUT')
})

await t.test('what is not an MD5 gives no etag', async t => {
  t.throws(() => multipartEtag([]), RangeError)
  for (const etag of [
    '',
    'abc',
    'f77dc0eecdebcd774a2a22cb393ad2ff-2',
    'BCE6BF66AEB76C7040FDD5F4ECCB78E6',
    '"'.repeat(32),
  ]) {
    t.equal(isMd5(etag), false, etag)
    t.throws(() => multipartEtag([etag]), RangeError)
  }
})
