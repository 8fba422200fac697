/** One client's connection as the RPC methods see it. */
export interface Session {
  /**
   * Opens a subscription; returns its id. `start` runs after the id has been answered, gets the function that sends a
   * notification, and returns the function that ends it.
   */
  subscribe(method: string, start: (notify: (result: unknown) => void) => () => void): string
  /** false when there is no such subscription. */
  unsubscribe(id: string): boolean
}

/** A session, and what its connection does with it. */
export interface SessionHandle extends Session {
  /** Starts the subscriptions whose ids have been answered. */
  settle(): void
  close(): void
}

export function createSession(send: (message: object) => void): SessionHandle {
  const stops = new Map<string, () => void>()
  let starting: (() => void)[] = []
  let count = 0
  return {
    subscribe: (method, start) => {
      const id = `0x${(++count).toString(16)}`
      stops.set(id, () => {})
      starting.push(() => {
        if (!stops.has(id)) return
        const notify = (result: unknown) => send({ jsonrpc: '2.0', method, params: { subscription: id, result } })
        stops.set(id, start(notify))
      })
      return id
    },
    unsubscribe: id => {
      stops.get(id)?.()
      return stops.delete(id)
    },
    settle: () => {
      const due = starting
      starting = []
      for (const start of due) start()
    },
    close: () => {
      for (const stop of stops.values()) stop()
      stops.clear()
    },
  }
}
