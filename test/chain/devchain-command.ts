import t from 'tap'
import { openChain } from '../../src/chain/polkadot.js'
import { devchainCommand } from '../../supervisor/commands/devchain.js'

function terminal() {
  const [out, err]: [string[], string[]] = [[], []]
  let wake: (() => void) | undefined
  const io = {
    out: (line: string) => {
      out.push(line)
      wake?.()
    },
    err: (line: string) => err.push(line),
    env: {},
    ask: async () => false,
  }
  const line = async () => {
    while (out.length === 0) {
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    return out[0] as string
  }
  return { io, out, err, line }
}

await t.test('grail devchain prints one ready line, runs until the signal, and ends with 0', async t => {
  const stop = new AbortController()
  const { io, line, out } = terminal()
  const done = devchainCommand(['--port', '0', '--block-ms', '50', '--announce-every', '2'], io, stop.signal)
  const [, url, genesis] = (await line()).match(/^ready (ws:\/\/127\.0\.0\.1:\d+) genesis (0x[0-9a-f]{64})$/) ?? []
  t.ok(url)
  const chain = openChain({ endpoints: [url as string], genesis: genesis as string })
  const numbers: number[] = []
  for await (const event of chain.events(stop.signal)) {
    if (event.kind === 'best') numbers.push(event.head.number)
    if (numbers.length === 3) break
  }
  t.ok(numbers[0]! > 1_000_000, 'the number follows from the time, so that a restart goes on upwards')
  t.same(
    numbers.slice(1).map(number => number % 2),
    [0, 0],
    'every second head is announced',
  )
  await chain.close()
  stop.abort()
  t.equal(await done, 0)
  t.equal(out.length, 1)
})

await t.test('wrong use and what cannot be used', async t => {
  const cases: [args: string[], code: number, says: RegExp][] = [
    [['--port', 'x'], 2, /--port: .*\nusage/],
    [['--block-ms', '5'], 2, /--block-ms: /],
    [['--nonsense'], 2, /nonsense.*\nusage/],
    [['--port', '0', '--metadata', '/nowhere/at/all'], 1, /no metadata file \/nowhere/],
    [['--port', '0', '--register', 'nobody'], 1, /cannot start: .*nobody/],
  ]
  for (const [args, code, says] of cases) {
    const { io, err, out } = terminal()
    t.equal(await devchainCommand(args, io, AbortSignal.abort()), code, args.join(' '))
    t.match(err.join('\n'), says)
    t.same(out, [])
  }
})
