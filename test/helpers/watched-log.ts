import { EventEmitter, once } from 'node:events'

export interface WatchedLog {
  onLog: (line: string) => void
  /** The next line that matches, skipping those before it; waits for it. */
  line(like: RegExp): Promise<string>
  /** All lines so far. */
  all(): string[]
}

/** A log as events. */
export function watchedLog(): WatchedLog {
  const lines: string[] = []
  const every: string[] = []
  const arrived = new EventEmitter()
  arrived.setMaxListeners(0)
  return {
    onLog(line) {
      lines.push(line)
      every.push(line)
      arrived.emit('line')
    },
    all: () => every,
    async line(like) {
      for (;;) {
        const at = lines.findIndex(line => like.test(line))
        if (at >= 0) return lines.splice(0, at + 1).at(-1)!
        await once(arrived, 'line')
      }
    },
  }
}
