import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { assembling, partObject, partReady, sealed } from '../../actors/aggregator/messages.js'
import { ensureStreams } from '../../actors/ensure.js'
import { followJournal, type JournalEvent } from '../../actors/journal.js'
import { PARTS } from '../../actors/streams.js'
import { deliver } from '../../actors/uploader/delivery.js'
import { completed, uploaded, uploadOpened } from '../../actors/uploader/messages.js'
import type { DeliveryParts } from '../../actors/uploader/options.js'
import type { OpenWindow } from '../../actors/windows.js'
import { announce, BrokerError, openStore } from '../../nats/index.js'
import type { Bucket } from '../../src/bucket/bucket.js'
import { openDirBucket } from '../../src/bucket/dir.js'
import { multipartEtag, singleEtag } from '../../src/bucket/expected.js'
import { timersOf } from '../../src/window/deadline.js'
import { objectKey } from '../../src/window/object.js'
import { brokerOf, inTime, natsServerAbsent, startNats, until } from '../helpers/nats-server.js'

// One window's file on its way into the bucket, with a real broker and a folder: what stays there, and what is said of it.

const HOTKEY = '5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY'
const FILE = randomBytes(2_000)
/** Long before and long after anything of a test, ms. */
const HOUR_MS = 3_600_000
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

t.setTimeout(120_000)
t.test('a delivery', { skip: natsServerAbsent }, async t => {
  const nats = await startNats(t)
  const broker = await brokerOf(t, nats)
  await ensureStreams(broker, { replicas: 1, presenceMs: 4_000, leaseMs: 4_000, signal: inTime() })
  const folder = await mkdtemp(join(tmpdir(), 'grail-delivery-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const bucket = openDirBucket({ folder })
  const store = openStore(broker, PARTS)
  let next = 900

  /** A window whose deadline is so far away, whose file of one part is sealed, and whose hash is final. */
  async function scene(deadlineInMs: number, say: 'part' | 'sealed' = 'sealed', number = 1) {
    const window = next
    next += 30
    const holes = { window, epoch: 1 }
    const key = objectKey(HOTKEY, window)
    const end = new AbortController()
    const object = partObject(window, 1, 1, number)
    const { sha256 } = await store.put(object, FILE, { signal: inTime() })
    const md5 = createHash('md5').update(FILE).digest('hex')
    const facts = { bytes: FILE.length, sha256 }
    await announce(broker, assembling, holes, { attempt: 1, aggregator: 'a' }, { signal: inTime() })
    const part = { attempt: 1, number, object, md5, last: number === 1, ...facts }
    await announce(broker, partReady, holes, part, { signal: inTime() })
    const seal = {
      ...{ attempt: 1, parts: 1, groups: 1, rows: 16, indices: [[0, 0]] as [number, number][], ...facts },
      ...{ truncated: false, rehearsal: true, seconds: { read: 0, encode: 0, tail: 0 } },
    }
    if (say === 'sealed') await announce(broker, sealed, holes, seal, { signal: inTime() })
    const open = {
      ...{ window, epoch: 1, next: undefined, state: 'sealing', why: '', final: true, worthless: end.signal },
      opened: { hotkey: HOTKEY, profile: 'grail-v5' },
      timers: timersOf(Date.now() + deadlineInMs, 5_000, 10_000),
    } as unknown as OpenWindow
    return { window, holes, key, open, end }
  }

  function partsOf(choices: Partial<DeliveryParts> = {}): DeliveryParts {
    return {
      ...{ broker, log: quiet, random: () => 0.5, instance: 'uploader-test', boot: 'b', version: '0' },
      clock: { now: Date.now, sleep: async () => {} },
      ...{ bucket, parts: store, takesRehearsals: true, mayUpload: () => true, isLatest: () => true },
      ...choices,
    }
  }

  /** The controller counts the object as soon as it is announced. */
  function counting(open: OpenWindow): DeliveryParts['clock'] {
    return {
      sleep: async () => {},
      now: () => {
        open.state = 'done'
        return Date.now()
      },
    }
  }

  async function putObject(key: string): Promise<string> {
    const { uploadId } = await bucket.openUpload(key, inTime())
    const part = await bucket.putPart(key, uploadId, 1, FILE, inTime())
    await bucket.complete(key, uploadId, [part], inTime())
    return uploadId
  }

  await t.test('the file of one part becomes one object', async t => {
    const { open, key, window } = await scene(HOUR_MS)
    const result = await deliver(open, partsOf({ clock: counting(open) }), inTime())
    t.match(result, {
      uploaded: { bytes: FILE.length, etag: multipartEtag([singleEtag(FILE)]) },
      clean: true,
      parts: 1,
    })
    t.same(await bucket.get(key, inTime()), FILE)
    t.same(await kinds(window), ['assembling', 'part', 'sealed', 'uploadopened', 'completed', 'uploaded'])
  })

  await t.test('a call that the bucket carries out after everything was taken away makes nothing visible', async t => {
    const { open, key, end } = await scene(HOUR_MS)
    let carryOut = async () => {}
    const slow: Bucket = { ...bucket }
    const asked = new Promise<void>(resolve => {
      const late = (call: () => Promise<unknown>, signal: AbortSignal) => {
        carryOut = () => call().then(() => {})
        resolve()
        return new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      }
      slow.complete = (at, id, parts, signal) => late(() => bucket.complete(at, id, parts, inTime()), signal)
      slow.put = (at, body, signal) => late(() => bucket.put(at, body, inTime()), signal)
    })
    const delivery = deliver(open, partsOf({ bucket: slow }), inTime())
    await asked
    end.abort(new Error('skipped'))
    t.match(await delivery, { failed: /^window given up/, clean: true })
    await carryOut().catch(() => {})
    t.equal(await bucket.head(key, inTime()), undefined)
    t.same(await bucket.listUploads(key, inTime()), [])
  })

  await t.test('an object that was completed in time is found by an uploader that comes back after it', async t => {
    const cases: [title: string, deadlineInMs: number, said: boolean][] = [
      ['completed was said', HOUR_MS, true],
      ['completed was not said', HOUR_MS, false],
      ['it is late', -HOUR_MS, false],
    ]
    for (const [title, deadlineInMs, said] of cases) {
      const { open, key, holes } = await scene(deadlineInMs)
      const uploadId = await putObject(key)
      await announce(broker, uploadOpened, holes, { attempt: 1, key, uploadId }, { signal: inTime() })
      const etag = multipartEtag([singleEtag(FILE)])
      if (said) await announce(broker, completed, holes, { attempt: 1, key, etag }, { signal: inTime() })
      const afterMs = open.timers.verifyByMs + HOUR_MS
      const beganMs = Date.now()
      const clock = { sleep: async () => {}, now: () => afterMs + (Date.now() - beganMs) }
      const delivery = deliver(open, partsOf({ clock }), inTime())
      open.state = 'done'
      const result = await delivery
      const stays = deadlineInMs > 0
      if (stays) t.match(result, { uploaded: { etag, secondsLeft: Number }, clean: true }, title)
      else t.match(result, { failed: /late/, clean: true }, title)
      t.equal((await bucket.head(key, inTime())) !== undefined, stays, `${title}: the object`)
    }
  })

  await t.test(
    'with the broker gone in the moment of Complete the object stays, and the next life says so',
    async t => {
      const { open, key, window } = await scene(HOUR_MS)
      const life = new AbortController()
      const breaking: Bucket = {
        ...bucket,
        complete: async (...of) => {
          const answer = await bucket.complete(...of)
          await nats.kill()
          return answer
        },
      }
      const delivery = deliver(open, partsOf({ bucket: breaking }), life.signal)
      await until('the broker is gone', () => !broker.connected || undefined)
      // So the lease is lost.
      life.abort(new Error('lease lost'))
      await t.rejects(delivery, /lease lost/)
      await nats.restart()
      const afterMs = open.timers.abortAtMs + 1
      const next = deliver(open, partsOf({ clock: { sleep: async () => {}, now: () => afterMs } }), inTime())
      open.state = 'done'
      t.match(await next, { uploaded: { key } })
      t.ok(await bucket.head(key, inTime()))
      t.same((await kinds(window)).slice(-2), ['completed', 'uploaded'])
    },
  )

  await t.test('a broker that is away for a moment is waited for', async t => {
    const { open, key } = await scene(HOUR_MS)
    let failures = 2
    const away = { ...store }
    away.get = async (name, patience) => {
      if (failures-- > 0) throw new BrokerError('no-responders', 'it elects a leader')
      return store.get(name, patience)
    }
    t.match(await deliver(open, partsOf({ parts: away, clock: counting(open) }), inTime()), { uploaded: { key } })
    t.equal(failures, -1)
    const gone = await scene(HOUR_MS)
    away.get = async () => {
      throw new BrokerError('not-found', 'there is no such object')
    }
    t.match(await deliver(gone.open, partsOf({ parts: away }), inTime()), { failed: /no such object/, clean: true })
    t.same(await bucket.listUploads(gone.key, inTime()), [])
  })

  await t.test('an uploader that comes back waits for the controller’s word on what it announced', async t => {
    const { open, key, holes, end } = await scene(HOUR_MS)
    await putObject(key)
    const etag = multipartEtag([singleEtag(FILE)])
    const facts = { attempt: 1, key, bytes: FILE.length, etag, sha256: '', lastModifiedMs: 0, secondsLeft: 1 }
    const seconds = { tail: 0, complete: 0, verify: 0 }
    await announce(broker, uploaded, holes, { ...facts, seconds }, { signal: inTime() })
    const delivery = deliver(open, partsOf(), inTime())
    const early = await Promise.race([delivery, store.get('none', { signal: inTime() }).catch(() => 'waits')])
    t.equal(early, 'waits')
    open.state = 'failed'
    end.abort(new Error('failed'))
    t.match(await delivery, { failed: /^window given up/, clean: true })
    t.equal(await bucket.head(key, inTime()), undefined)
  })

  await t.test('an upload of a later epoch, opened while the bucket was asked, stays', async t => {
    const { open, key, end } = await scene(HOUR_MS)
    end.abort(new Error('a later epoch'))
    let latest = true
    const slowList: Bucket = {
      ...bucket,
      listUploads: async (...of) => {
        await bucket.openUpload(key, inTime())
        latest = false
        return bucket.listUploads(...of)
      },
    }
    const parts = partsOf({ bucket: slowList, isLatest: () => latest })
    t.match(await deliver(open, parts, inTime()), { failed: /^window given up/, clean: true })
    t.equal((await bucket.listUploads(key, inTime())).length, 1)
  })

  await t.test('a part is sent whichever comes first', async t => {
    const { open, key } = await scene(HOUR_MS, 'part', 2)
    const life = new AbortController()
    const delivery = deliver(open, partsOf(), life.signal)
    const sent = await until('it is sent', async () => {
      const [upload] = await bucket.listUploads(key, inTime())
      const parts = upload && (await bucket.listParts(key, upload.uploadId, inTime()))
      return parts?.length === 1 ? parts : undefined
    })
    t.match(sent, [{ number: 2, bytes: FILE.length }])
    life.abort(new Error('over'))
    await t.rejects(delivery, /over/)
  })

  async function kinds(window: number): Promise<JournalEvent['kind'][]> {
    const end = new AbortController()
    const found: JournalEvent['kind'][] = []
    const journal = followJournal(
      broker,
      { window, epoch: 1 },
      {
        signal: end.signal,
        onEvent: ({ kind }) => void found.push(kind),
        onBroken: (subject, error) => {
          throw new Error(`${subject}: ${String(error)}`)
        },
      },
    )
    await journal.caughtUp
    end.abort()
    await journal.done
    return found
  }
})
