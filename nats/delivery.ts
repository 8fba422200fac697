import type { Msg } from 'nats'

/** What a consumer says about a message it delivers. */
export interface Delivery {
  /** How many times this message was given out, this time included. */
  tries: number
  /** Sequence in the stream. */
  seq: number
  /** Number of this delivery by this consumer, from 1 without a gap. */
  delivery: number
  /** When the server stored it, unix ms by the server's clock. */
  timeMs: number
  /** How many more are waiting behind it. */
  pending: number
}

/** Read from the reply subject of a delivered message; undefined for a status. */
export function deliveryOf(msg: Msg): Delivery | undefined {
  // $JS.ACK.<stream>.<consumer>.<tries>.<seq>.<delivery>.<ns>.<pending>, or with domain and account before the stream.
  const tokens = msg.reply?.split('.') ?? []
  const at = tokens.length === 9 ? 4 : tokens.length >= 11 ? 6 : -1
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || at < 0) return undefined
  const [tries, seq, delivery, ns, pending] = tokens.slice(at)
  return {
    tries: Number(tries),
    seq: Number(seq),
    delivery: Number(delivery),
    timeMs: Number(ns!.slice(0, -6)),
    pending: Number(pending),
  }
}
