import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { timeOut } from '../src/time-out.js'

t.test(
  'a limit of time fires although only a combination of signals refers to it, and garbage is collected',
  async t => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const limited = AbortSignal.any([new AbortController().signal, timeOut(50)])
    const fired = new Promise(resolve =>
      limited.addEventListener('abort', () => resolve((limited.reason as Error).name), { once: true }),
    )
    const collecting = setInterval(collect, 5)
    t.teardown(() => clearInterval(collecting))
    t.equal(await fired, 'TimeoutError')
  },
)
