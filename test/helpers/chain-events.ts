import type { Chain, ChainEvent } from '../../src/chain/chain.js'

type Kind = ChainEvent['kind']
type Of<K extends Kind> = Extract<ChainEvent, { kind: K }>

/** Reads a chain's events from now on and waits for those a test asks for. */
export interface EventWatch {
  /** Everything so far. */
  seen: ChainEvent[]
  /** The next event of a kind that fits, from where the last call for this kind stopped. */
  next<K extends Kind>(kind: K, fits?: (event: Of<K>) => boolean): Promise<Of<K>>
  stop(): void
}

export function watchEvents(chain: Chain): EventWatch {
  const end = new AbortController()
  const seen: ChainEvent[] = []
  const taken = new Map<Kind, number>()
  let wake: () => void = () => {}
  const reading = (async () => {
    for await (const event of chain.events(end.signal)) {
      seen.push(event)
      wake()
    }
  })()
  return {
    seen,
    next: async (kind, fits = () => true) => {
      for (;;) {
        for (let at = taken.get(kind) ?? 0; at < seen.length; at++) {
          const event = seen[at] as ChainEvent
          taken.set(kind, at + 1)
          if (event.kind === kind && fits(event as never)) return event as never
        }
        if (end.signal.aborted) throw new Error(`no '${kind}' came`)
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    },
    stop: () => {
      end.abort()
      wake()
      void reading
    },
  }
}
