import t from 'tap'
import { claimBucket, journal, kvBucket, objectStore, workQueue } from '../../nats/index.js'

const HOUR_MS = 3_600_000

await t.test('each kind of stream says what makes it that kind', async t => {
  const cases = [
    {
      wanted: journal('GRAIL_EVENTS', ['grail.window.>'], { maxAgeMs: HOUR_MS }),
      name: 'GRAIL_EVENTS',
      settings: {
        subjects: ['grail.window.>'],
        retention: 'limits',
        discard: 'old',
        deny_delete: true,
        max_age: 3_600e9,
      },
    },
    {
      wanted: workQueue('GRAIL_REISSUE', ['grail.reissue.>'], { name: 'generators', ackWaitMs: 5_000 }),
      name: 'GRAIL_REISSUE',
      settings: { retention: 'workqueue', duplicate_window: 900e9 },
    },
    {
      wanted: kvBucket('GRAIL_FLEET', { maxAgeMs: 3_000 }),
      name: 'KV_GRAIL_FLEET',
      settings: {
        subjects: ['$KV.GRAIL_FLEET.>'],
        max_msgs_per_subject: 1,
        max_age: 3e9,
        duplicate_window: 3e9,
        discard: 'new',
      },
    },
    {
      wanted: objectStore('GRAIL_ROLLOUTS', { maxBytes: 1e9, replicas: 3 }),
      name: 'OBJ_GRAIL_ROLLOUTS',
      settings: {
        subjects: ['$O.GRAIL_ROLLOUTS.C.>', '$O.GRAIL_ROLLOUTS.M.>'],
        max_bytes: 1e9,
        num_replicas: 3,
        allow_rollup_hdrs: true,
      },
    },
    {
      wanted: claimBucket('CLAIMS_900_0', { cap: 800 }),
      name: 'KV_CLAIMS_900_0',
      settings: {
        max_msgs: 800,
        max_msgs_per_subject: 1,
        discard: 'new',
        discard_new_per_subject: true,
        deny_delete: true,
        deny_purge: true,
        allow_rollup_hdrs: false,
        duplicate_window: 900e9,
        storage: 'file',
      },
    },
  ]
  for (const { wanted, name, settings } of cases)
    t.match(wanted, { name, settings: { allow_direct: true, ...settings } }, name)
})

await t.test("a queue's consumer leaves an item alone for its ack wait and takes any number of workers", async t => {
  const { consumers } = workQueue('Q', ['q'], { name: 'w', ackWaitMs: 5_000 })
  t.match(consumers, [{ name: 'w', settings: { ack_wait: 5e9, ack_policy: 'explicit', max_deliver: -1 } }])
  t.ok(consumers[0]!.settings.max_waiting > 512, "more than the server's own limit")
})
