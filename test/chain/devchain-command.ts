import t from 'tap'
import { MISHAPS } from '../../src/chain/dev/mishap.js'
import { openChain } from '../../src/chain/polkadot.js'
import { readUid } from '../../src/chain/reads.js'
import { devchainCommand } from '../../supervisor/commands/devchain.js'

const BOB = '5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty'

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

await t.test('what is asked for by --after happens so many blocks after the start, and is said', async t => {
  const stop = new AbortController()
  const { io, line, err } = terminal()
  const args = ['--port', '0', '--block-ms', '50', '--start-block', '900', '--finality-lag', '4', '--register', BOB]
  const faults = ['3:reorg:2', '5:upgrade:500', `7:deregister:${BOB}`, '9:reorg:9', '11:stall']
  const done = devchainCommand([...args, ...faults.flatMap(fault => ['--after', fault])], io, stop.signal)
  const [, url] = (await line()).match(/^ready (ws:\S+)/) ?? []
  const chain = openChain({ endpoints: [url as string], stallMs: 3_000 })
  let stalled = false
  for await (const event of chain.events(stop.signal)) {
    stalled = event.kind === 'stalled'
    if (stalled) break
  }
  t.match(chain.status(), { specVersion: 500, best: { number: 911 } })
  t.equal(await readUid(await chain.link(stop.signal), 81, BOB, { signal: stop.signal }), undefined)
  t.match(err, [
    /^block 904: 3:reorg:2$/,
    /^block 905: 5:upgrade:500$/,
    /^block 907: 7:deregister:/,
    /^block 909: 9:reorg:9 cannot be: cannot undo 9 blocks/,
    /^block 911: 11:stall$/,
  ])
  await chain.close()
  stop.abort()
  t.equal(await done, 0)
})

await t.test('--help says what there is', async t => {
  const { io, out } = terminal()
  t.equal(await devchainCommand(['--help'], io, AbortSignal.abort()), 0)
  for (const what of MISHAPS) t.match(out.join('\n'), what)
})

await t.test('wrong use and what cannot be used', async t => {
  const cases: [args: string[], code: number, says: RegExp][] = [
    [['--port', 'x'], 2, /--port: .*\nusage/],
    [['--block-ms', '5'], 2, /--block-ms: /],
    [['--after', '3:dance'], 2, /--after: '3:dance': what happens is one of reorg, stall/],
    [['--after', '0:reorg'], 2, /--after: '0:reorg': '0' is no whole number of 1 or more/],
    [['--after', '3:register'], 2, /an ss58 address is needed/],
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
