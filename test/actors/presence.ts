import t from 'tap'
import { decodePresence, encodePresence, type Presence } from '../../actors/presence.js'

const presence: Presence = {
  ...{ role: 'generator', instance: 'generator-a-0', boot: 'b', host: 'a', pid: 7, version: '1', profile: 'grail-v5' },
  ...{ state: 'generating', window: 900, epoch: 1, inFlight: [3], groupMs: 10_000, claimMs: 9_000 },
  server: { state: 'ready', reason: '', generating: 1, limit: 2, proving: 0, waiting: 0, busy: 0.9 },
}

t.test('a presence comes back as it was said', t => {
  t.same(decodePresence(encodePresence(presence)), presence)
  t.end()
})

t.test('a newer build, which says more, is alive to an older one: hosts are upgraded one by one', t => {
  const newer = { ...presence, mood: 'fine', server: { ...presence.server, colour: 'green' } }
  t.same(decodePresence(new TextEncoder().encode(JSON.stringify(newer))), presence)
  t.end()
})

t.test('what is no presence is refused', t => {
  const cases: [what: string, text: string][] = [
    ['no JSON', 'generator'],
    ['another role', JSON.stringify({ ...presence, role: 'validator' })],
    ['no boot', JSON.stringify({ ...presence, boot: undefined })],
    ['indices that are no numbers', JSON.stringify({ ...presence, inFlight: ['3'] })],
  ]
  for (const [what, text] of cases) t.throws(() => decodePresence(new TextEncoder().encode(text)), what)
  t.end()
})
