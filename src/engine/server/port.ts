import { createServer } from 'node:net'

const HOST = '127.0.0.1'

function bind(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ port, host: HOST, exclusive: true }, () => {
      const bound = server.address() as { port: number }
      server.close(() => resolve(bound.port))
    })
  })
}

/** A port of the kernel's choice that nobody has on the loopback now; another program may still be faster. */
export function freePort(): Promise<number> {
  return bind(0)
}

/** Can this port be had on the loopback now? */
export async function portIsFree(port: number): Promise<boolean> {
  try {
    await bind(port)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false
    throw error
  }
}
