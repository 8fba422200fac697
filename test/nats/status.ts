import { DebugEvents, Events } from 'nats'
import t from 'tap'
import { statusOf } from '../../nats/status.js'

await t.test("the library's events in our words", async t => {
  const cases: [Parameters<typeof statusOf>[0], string | undefined, ReturnType<typeof statusOf>][] = [
    [{ type: Events.Disconnect, data: 'a:1' }, undefined, { type: 'disconnected', server: 'a:1' }],
    [{ type: DebugEvents.Reconnecting, data: 'a:1' }, undefined, { type: 'reconnecting', server: 'a:1' }],
    [{ type: Events.Reconnect, data: 'a:1' }, undefined, { type: 'reconnected', server: 'a:1' }],
    [{ type: Events.LDM, data: 'a:1' }, undefined, { type: 'lame-duck', server: 'a:1' }],
    [
      { type: Events.Error, data: 'NATS_PROTOCOL_ERR' },
      "'Slow Consumer'",
      { type: 'slow-consumer', why: "'Slow Consumer'" },
    ],
    [
      { type: Events.Error, data: 'PERMISSIONS_VIOLATION' },
      '\'Permissions Violation for Publish to "x"\'',
      { type: 'error', code: 'PERMISSIONS_VIOLATION', why: '\'Permissions Violation for Publish to "x"\'' },
    ],
    [
      {
        type: Events.Error,
        data: 'PERMISSIONS_VIOLATION',
        permissionContext: { operation: 'publish', subject: 'x' },
      },
      // What the server had said before, about something else.
      "'Slow Consumer'",
      { type: 'error', code: 'PERMISSIONS_VIOLATION', why: 'PERMISSIONS_VIOLATION', refused: 'x' },
    ],
    [{ type: Events.Error, data: 'X' }, undefined, { type: 'error', code: 'X', why: 'X' }],
    [{ type: DebugEvents.PingTimer, data: '1' }, undefined, undefined],
    [{ type: DebugEvents.StaleConnection, data: '' }, undefined, undefined],
    [{ type: Events.Update, data: { added: ['b:1'], deleted: [] } }, undefined, undefined],
  ]
  for (const [raw, lastError, ours] of cases) t.same(statusOf(raw, lastError), ours, raw.type)
})
