import { statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadHotkey } from '../../src/wallet/wallet.js'
import { walletCommand } from '../../supervisor/commands/wallet.js'

function terminal(env: Record<string, string> = {}) {
  const [out, err]: [string[], string[]] = [[], []]
  return {
    lines: { out, err },
    io: { out: (line: string) => out.push(line), err: (line: string) => err.push(line), env, ask: async () => false },
  }
}

await t.test('grail wallet new writes a hotkey, prints its address, and says it is for rehearsals', async t => {
  const path = join(t.testdir(), 'wallets')
  const { io, lines } = terminal()
  t.equal(await walletCommand(['new', '--path', path, '--cold', 'c', '--hot', 'h'], io), 0)
  t.equal(lines.out.length, 1)
  t.equal((await loadHotkey({ path, cold: 'c', hot: 'h' })).ss58, lines.out[0])
  t.match(lines.err[0], /rehearsals/)
})

await t.test('names and folder may come from the environment', async t => {
  const path = t.testdir()
  const { io } = terminal({ BT_WALLET_PATH: path, BT_WALLET_COLD: 'c', BT_WALLET_HOT: 'h' })
  t.equal(await walletCommand(['new'], io), 0)
  t.equal(statSync(join(path, 'c/hotkeys/h')).mode & 0o777, 0o600)
})

await t.test('--help is no wrong use', async t => {
  const { io, lines } = terminal()
  t.equal(await walletCommand(['--help'], io), 0)
  t.match(lines, { out: [/^usage: grail wallet new/], err: [] })
})

await t.test('a taken name, an impossible folder and wrong use fail with one line', async t => {
  const path = t.testdir({ file: '' })
  t.equal(await walletCommand(['new', '--path', path], terminal().io), 0)
  const cases: [args: string[], code: number, says: RegExp][] = [
    [['new', '--path', path], 1, /not overwritten/],
    [['new', '--path', join(path, 'file')], 1, /ENOTDIR|EEXIST/],
    [['new', '--path', path, '--hot', '../h'], 1, /not the name/],
    [['new', '--nonsense'], 2, /^usage/],
    [['old'], 2, /^usage/],
    [[], 2, /^usage/],
  ]
  for (const [args, code, says] of cases) {
    const { io, lines } = terminal()
    t.equal(await walletCommand(args, io), code, args.join(' '))
    t.equal(lines.err.length, 1)
    t.match(lines.err[0], says)
    t.same(lines.out, [])
  }
})
