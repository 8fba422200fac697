import t from 'tap'
import { Transcript } from '../../src/wallet/merlin.js'

const bytes = (text: string) => new TextEncoder().encode(text)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

await t.test("the challenge of merlin's own example", async t => {
  // dalek-cryptography/merlin src/transcript.rs, release 3.0.0, and its ports to other languages
  const transcript = new Transcript({ label: bytes('test protocol') })
  transcript.append(bytes('some label'), bytes('some data'))
  t.equal(
    hex(transcript.challenge(bytes('challenge'), 32)),
    'd5a21972d0d5fe320c0d263fac7fffb8145aa640af6e9bca177c03c7efcf0615',
  )
})

await t.test('a transcript goes on from another one and leaves it as it is', async t => {
  const begun = new Transcript({ label: bytes('test protocol') })
  begun.append(bytes('some label'), bytes('some data'))
  const challenge = () => hex(new Transcript(begun).challenge(bytes('challenge'), 64))
  const other = new Transcript(begun)
  other.append(bytes('more'), new Uint8Array(500))
  t.equal(challenge(), challenge())
  t.not(hex(other.challenge(bytes('challenge'), 64)), challenge())
})
