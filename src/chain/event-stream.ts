import type { ChainEvent } from './chain.js'

/** One reader's queue. A reader that is slow misses best heads that were overtaken, nothing else. */
interface Reader {
  queue: ChainEvent[]
  wake(): void
}

export interface EventStream {
  emit(event: ChainEvent): void
  /** `first` are the events a new reader starts with. */
  read(signal: AbortSignal, first: readonly ChainEvent[]): AsyncIterable<ChainEvent>
  /** Ends all readers. */
  end(): void
}

export function eventStream(): EventStream {
  const readers = new Set<Reader>()
  let ended = false
  return {
    emit: event => {
      for (const reader of readers) {
        const last = reader.queue.at(-1)
        // Overtaken heads, finals and alarms of a stall are worth nothing: only the newest of a row is kept.
        if (last && last.kind === event.kind && event.kind !== 'up' && event.kind !== 'down') reader.queue.pop()
        reader.queue.push(event)
        reader.wake()
      }
    },
    read: (signal, first) => {
      const reader: Reader = { queue: [...first], wake: () => {} }
      // from now on, not from when it is first read
      readers.add(reader)
      return events(reader, signal)
    },
    end: () => {
      ended = true
      for (const reader of readers) reader.wake()
    },
  }

  async function* events(reader: Reader, signal: AbortSignal): AsyncGenerator<ChainEvent> {
    const wake = () => reader.wake()
    signal.addEventListener('abort', wake)
    try {
      while (!signal.aborted && !ended) {
        const next = reader.queue.shift()
        if (next) {
          yield next
          continue
        }
        await new Promise<void>(resolve => {
          reader.wake = resolve
          // what came, or ended, before the promise was made
          if (reader.queue.length > 0 || signal.aborted || ended) resolve()
        })
      }
    } finally {
      signal.removeEventListener('abort', wake)
      readers.delete(reader)
    }
  }
}
