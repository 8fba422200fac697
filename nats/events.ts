import { type ConsumerInfo, type MsgHdrs, nanos, nuid } from 'nats'
import type { Broker } from './broker.js'
import { deliveryOf } from './delivery.js'
import { streamInfo } from './ensure.js'
import { BrokerError, isBrokerError } from './errors.js'
import { type Mailbox, mailbox } from './mailbox.js'
import { GIVE_UP_AFTER_MS } from './patience.js'
import { api, send } from './request.js'

// The client library can read a stream in order too, but its ordered consumers leave a status listener behind at every reset
// and took up to 48 s to go on after a leader's death. This one asks again after some two seconds of silence, at the latest.

export interface EventMeta {
  seq: number
  /** When the server stored it, unix ms by the server's clock. */
  timeMs: number
  msgId?: string
  headers?: MsgHdrs
}

export interface FoldOptions {
  signal: AbortSignal
  /** First sequence wanted; 1 unless said. */
  from?: number
  /** Called for one event after the other; the next waits until its promise is done. What it throws ends the fold. */
  onEvent: (subject: string, bytes: Uint8Array, meta: EventMeta) => void | Promise<void>
}

export interface Fold {
  /** Done when everything that was in the stream at the start has been given to onEvent; rejects when the fold ends before. */
  readonly caughtUp: Promise<void>
  /** Done when the signal came; rejects when the fold cannot go on: 'not-found', 'replaced', or what onEvent threw. */
  readonly done: Promise<void>
}

/** Messages asked for at once. Events are small; a page of them fits the server's buffers many times over. */
const PAGE = 256
/** How long the server holds an open request, milliseconds. What was lost on the way is asked for again after it. */
const HOLD_MS = 2_000
/**
 * Grace on top, for the answer's way. nats-server 2.9 drops a request without a word when a message comes in the moment in
 * which its time is over (10 of 288 messages that were aimed at it), and the message waits for the next request: what stands in
 * the journal then comes so much later, ms.
 */
const HOLD_GRACE_MS = 250
/** Requests in a row that nobody answered, before the consumer itself is in doubt. */
const UNANSWERED = 2
/** The server forgets a reader that has not asked for this long, milliseconds; longer than an onEvent may take. */
const FORGOTTEN_AFTER_MS = 60_000

const utf8 = new TextEncoder()

/**
 * Reads a stream's messages of a subject in order, each exactly once, and goes on with what comes, through broken connections
 * and restarts of the server. Whoever restarts rebuilds what it knows from here.
 * @param filter subject, wildcards allowed
 */
export function fold(broker: Broker, stream: string, filter: string, options: FoldOptions): Fold {
  let arrived = () => {}
  let lost = (_: unknown) => {}
  const caughtUp = new Promise<void>((resolve, reject) => {
    arrived = resolve
    lost = reject
  })
  const done = new Reader(broker, stream, filter, options, () => arrived()).run()
  done.then(
    () => lost(options.signal.reason ?? new BrokerError('closed', `fold of ${stream} ended`)),
    e => lost(e),
  )
  // Either may be the only one somebody waits for.
  caughtUp.catch(() => {})
  done.catch(() => {})
  return { caughtUp, done }
}

class Reader {
  private next: number
  private backlog = Number.POSITIVE_INFINITY
  private created: string | undefined
  private readonly broker: Broker
  private readonly stream: string
  private readonly filter: string
  private readonly options: FoldOptions
  private readonly arrived: () => void

  constructor(broker: Broker, stream: string, filter: string, options: FoldOptions, arrived: () => void) {
    this.broker = broker
    this.stream = stream
    this.filter = filter
    this.options = options
    this.arrived = arrived
    this.next = options.from ?? 1
  }

  async run(): Promise<void> {
    const { signal } = this.options
    while (!signal.aborted) {
      const consumer = await this.consumer()
      if (consumer === undefined) continue
      try {
        await this.read(consumer)
      } finally {
        await this.forget(consumer)
      }
    }
  }

  /** A consumer that starts at the next sequence; undefined when the broker is away and it is worth asking again. */
  private async consumer(): Promise<string | undefined> {
    const { signal } = this.options
    const patience = { signal, giveUpAfterMs: GIVE_UP_AFTER_MS }
    const name = `fold_${nuid.next()}`
    try {
      const info = await streamInfo(this.broker, this.stream, patience)
      if (info === undefined) throw new BrokerError('not-found', `fold ${this.stream}: there is no such stream`)
      this.created ??= info.created
      if (info.created !== this.created)
        throw new BrokerError(
          'replaced',
          `fold ${this.stream}: the stream was deleted and made again, what was read no longer counts`,
        )
      const made = await api<ConsumerInfo>(
        this.broker,
        `CONSUMER.CREATE.${this.stream}.${name}.${this.filter}`,
        {
          stream_name: this.stream,
          config: {
            name,
            deliver_policy: 'by_start_sequence',
            opt_start_seq: this.next,
            ack_policy: 'none',
            filter_subject: this.filter,
            inactive_threshold: nanos(FORGOTTEN_AFTER_MS),
            mem_storage: true,
            num_replicas: 1,
          },
        },
        patience,
      )
      this.backlog = made.num_pending
      if (this.backlog === 0) this.arrived()
      return name
    } catch (e) {
      if (signal.aborted) return undefined
      if (isBrokerError(e) && e.next === 'later') return undefined
      throw e
    }
  }

  /** Takes pages until something says that this consumer cannot be trusted any more, or the signal comes. */
  private async read(consumer: string): Promise<void> {
    const { signal } = this.options
    const box = mailbox(this.broker)
    let intact = true
    const stop = this.broker.listen(status => {
      if (status.type !== 'disconnected' && status.type !== 'closed') return
      intact = false
      box.interrupt()
    })
    const position = { delivery: 0, request: 0, unanswered: 0 }
    try {
      while (intact && !signal.aborted) {
        const overdueMs = performance.now() + HOLD_MS + HOLD_GRACE_MS
        this.ask(consumer, `${box.subject}.${++position.request}`)
        if (!(await this.page(box, position, overdueMs, () => intact))) return
      }
    } finally {
      stop()
      box.close()
    }
  }

  private ask(consumer: string, reply: string): void {
    const body = utf8.encode(JSON.stringify({ batch: PAGE, expires: nanos(HOLD_MS) }))
    send(this.broker, `$JS.API.CONSUMER.MSG.NEXT.${this.stream}.${consumer}`, body, {
      doing: `fold ${this.stream}`,
      reply,
    })
  }

  /**
   * One page; false when the reader must start anew from the last event delivered.
   * @param overdueMs when the server's word on the request is overdue, ms of performance.now()
   */
  private async page(
    box: Mailbox,
    position: { delivery: number; request: number; unanswered: number },
    overdueMs: number,
    intact: () => boolean,
  ): Promise<boolean> {
    const { signal, onEvent } = this.options
    for (let taken = 0; taken < PAGE; ) {
      const msg = await box.next(Math.max(0, overdueMs - performance.now()), signal)
      if (signal.aborted) return false
      // What came meanwhile is the consumer's next message, or is told apart by its number.
      if (msg === undefined) return ++position.unanswered < UNANSWERED && intact()
      position.unanswered = 0
      const at = deliveryOf(msg)
      if (at === undefined) {
        // A status. 404 and 408: nothing more just now, ask again; 100 is a sign of life; all else ends this consumer.
        const code = msg.headers?.code ?? 0
        // The end of a request that was taken for dropped: another one is open.
        if (code === 100 || !msg.subject.endsWith(`.${position.request}`)) continue
        return (code === 404 || code === 408) && intact()
      }
      if (at.delivery !== position.delivery + 1) return false
      position.delivery = at.delivery
      const msgId = msg.headers?.get('Nats-Msg-Id')
      await onEvent(msg.subject, msg.data, {
        seq: at.seq,
        timeMs: at.timeMs,
        ...(msgId ? { msgId } : {}),
        ...(msg.headers ? { headers: msg.headers } : {}),
      })
      this.next = at.seq + 1
      taken++
      this.backlog--
      if (this.backlog <= 0 || at.pending === 0) this.arrived()
    }
    return intact()
  }

  private async forget(consumer: string): Promise<void> {
    if (!this.broker.connected) return
    const gone = new AbortController()
    const asked = api(this.broker, `CONSUMER.DELETE.${this.stream}.${consumer}`, undefined, {
      signal: gone.signal,
      attemptMs: 500,
      giveUpAfterMs: 0,
    })
    // It would be forgotten by itself after a minute: not being able to say goodbye is no failure.
    await asked.catch(() => {})
  }
}
