/** Something that has to be found out once about each process of a server. */
export interface OncePerProcess {
  /** What was found out about this process, or is being found out; a failure is tried again by whoever asks next. */
  of(incarnation: number, find: () => Promise<void>): Promise<void>
  /** Nothing that was found out holds any more. */
  forget(): void
}

export function oncePerProcess(): OncePerProcess {
  let found: { incarnation: number; done: Promise<void> } | undefined
  return {
    of(incarnation, find) {
      if (found?.incarnation === incarnation) return found.done
      const mine = { incarnation, done: find() }
      found = mine
      mine.done.catch(() => {
        if (found === mine) found = undefined
      })
      return mine.done
    },
    forget() {
      found = undefined
    },
  }
}
