/** Values handed to whoever listens at the moment. */
export interface Feed<T> {
  /** Returns the function that ends the listening. */
  listen(listener: (value: T) => void): () => void
  tell(value: T): void
}

export function feed<T>(): Feed<T> {
  const listeners = new Set<(value: T) => void>()
  return {
    listen: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    tell: value => {
      for (const listener of listeners) listener(value)
    },
  }
}
