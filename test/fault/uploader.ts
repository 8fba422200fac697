import t from 'tap'
import { objectKey, shadowKey } from '../../src/window/object.js'
import { type Fault, type Passing, startProxy } from '../helpers/http-proxy.js'
import { invariants } from '../helpers/invariants.js'
import { inTime, natsServerAbsent, until } from '../helpers/nats-server.js'
import { becomes } from '../helpers/outcome.js'
import { startS3 } from '../helpers/s3-server.js'
import { worldOnS3 } from '../helpers/s3-world.js'
import { PATIENCE_MS, startWorld } from '../helpers/world.js'

// A real S3 server that fails at every step, and an uploader that dies between its last part and the call that completes the object.

/** Groups of about 200 KB: the file has two parts or more, so that it takes a multipart upload. */
const MAX_TOKENS = 4_096
/** So often the server fails a call before it does it. */
const FAILURES = 2
/** A call that is not answered by then is given up, ms: a window of the test has time for two. */
const REQUEST_MS = 1_500
const SERVER_ERROR = { kind: 'answer', status: 500, body: '<Error><Code>InternalError</Code></Error>' } as const

t.setTimeout(PATIENCE_MS)
t.test('a bucket that fails and an uploader that dies', { skip: natsServerAbsent, timeout: PATIENCE_MS }, async t => {
  const s3 = await startS3()
  t.teardown(() => s3.stop())
  let choose: (request: Passing) => Fault = () => ({ kind: 'pass' })
  const asked: Passing[] = []
  const proxy = await startProxy(s3.endpoint, request => {
    asked.push(request)
    return choose(request)
  })
  t.teardown(() => proxy.close())
  const world = await startWorld(t, {
    generators: 3,
    // A window of 30 s that is sealed 15.5 s before its deadline: an uploader that dies twice in its tail comes back in time.
    blockMs: 1_000,
    firstTailMs: 11_000,
    paceMs: 525,
    proxied: ['uploader'],
    maxTokens: MAX_TOKENS,
    policy: 'part_bytes = 5242880',
    ...worldOnS3(s3, { endpoint: proxy.endpoint, requestMs: REQUEST_MS }),
  })
  const failing = (...calls: string[]) => {
    const left = new Map(calls.map(what => [what, FAILURES]))
    return ({ what }: Passing): Fault => {
      const times = left.get(what) ?? 0
      left.set(what, times - 1)
      return times > 0 ? SERVER_ERROR : { kind: 'pass' }
    }
  }
  await t.test(
    'kill -9 between the last part and Complete, and again before it could say so; every call fails twice',
    async t => {
      let reached = () => {}
      const complete = new Promise<void>(resolve => {
        reached = resolve
      })
      const fail = failing('open', 'part')
      choose = request => {
        if (request.what !== 'complete') return fail(request)
        reached()
        return { kind: 'hang' }
      }
      const { window } = await world.event('opened')
      await complete
      await world.actor('uploader').kill()
      choose = failing('parts', 'complete', 'head')
      const at = asked.length
      await world.proxy('uploader').hold('before', ({ subject }) => subject.endsWith('.file.completed'))
      const completedAt = asked.length
      await world.actor('uploader').kill()
      await becomes(t, world, { window, state: 'UPLOADED' })
      const ofWindow = ({ url, what }: Passing) => (url.includes(`-window-${window}.`) ? [what] : [])
      const since = asked.slice(at).flatMap(ofWindow)
      t.notOk(asked.slice(completedAt).flatMap(ofWindow).includes('complete'), 'what was completed was not repeated')
      t.notOk(since.includes('part'), 'no part that the bucket had was sent again')
      t.notOk(since.includes('open'), 'and the upload is the one that was begun')
      await invariants(t, world, { window })
    },
  )

  await world.active('uploader')
  await t.test(
    'kill -9 before an upload that was opened is known; a Complete that is carried out and never answered',
    async t => {
      const unknown = world.proxy('uploader').hold('before', ({ subject }) => subject.endsWith('.file.uploadopened'))
      let silences = 0
      const done = proxy.carriedOut('complete')
      choose = ({ what }) => {
        if (what === 'complete' && silences++ === 0) return { kind: 'hang-after' }
        // A slow server may still be at it when it is asked for the object.
        return what === 'head' && silences > 0 ? { kind: 'hold', until: done } : { kind: 'pass' }
      }
      const { window } = await world.nextWindow()
      // Another miner with the same bucket: validators would read this instead of the file.
      const shadow = shadowKey(objectKey(world.hotkey, window))
      await world.bucket.put(shadow, Buffer.from('of another'), inTime())
      await unknown
      await world.actor('uploader').kill()
      await becomes(t, world, { window, state: 'UPLOADED' })
      t.equal(silences, 1, 'it was asked for once: the object was found')
      await until(
        'what lies before the file is removed',
        async () => (await world.bucket.head(shadow, inTime())) === undefined || undefined,
      )
      await invariants(t, world, { window })
    },
  )

  await t.test('a bucket that is slower than the deadline', async t => {
    let tooLate = () => {}
    const late = new Promise<void>(resolve => {
      tooLate = resolve
    })
    choose = ({ what }) => (what === 'complete' ? { kind: 'hold', until: late } : { kind: 'pass' })
    const { window } = await world.nextWindow()
    const { payload: failed } = await world.event('uploadfailed', event => event.window === window)
    t.ok(failed.clean, 'the uploader has cleaned up')
    // Now the calls nobody waits for any more reach the server.
    const carriedOut = proxy.carriedOut('complete')
    tooLate()
    await carriedOut
    await becomes(t, world, { window, state: 'MISSED' })
    await invariants(t, world, { window })
  })

  await invariants(t, world)
})
