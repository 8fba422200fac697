/** Places that can be taken and given back; who comes first is served first. */
export interface Slots {
  /** Resolves with the function that gives the place back (once). @throws the signal's reason while waiting */
  take(signal: AbortSignal): Promise<() => void>
  /** Fewer places than are taken are reached as they come back. */
  resize(places: number): void
  taken(): number
  waiting(): number
}

export function slots(places: number): Slots {
  let limit = places
  let taken = 0
  const queue: (() => void)[] = []

  function serve(): void {
    while (taken < limit && queue.length > 0) {
      taken++
      queue.shift()!()
    }
  }

  function giveBack(): () => void {
    let given = false
    return () => {
      if (given) return
      given = true
      taken--
      serve()
    }
  }

  return {
    taken: () => taken,
    waiting: () => queue.length,
    resize(next) {
      limit = next
      serve()
    },
    async take(signal) {
      signal.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          queue.splice(queue.indexOf(granted), 1)
          reject(signal.reason as Error)
        }
        const granted = (): void => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        }
        signal.addEventListener('abort', onAbort, { once: true })
        queue.push(granted)
        serve()
      })
      return giveBack()
    },
  }
}
