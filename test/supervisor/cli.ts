import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.js'

// The program as people call it: exit codes and sentences.

const folder = mkdtempSync(join(tmpdir(), 'grail-cli-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

const program = import.meta.url.endsWith('.ts')
  ? ['--import', 'tsx', join(packageRoot, 'supervisor', 'main.ts')]
  : [join(packageRoot, 'dist', 'supervisor', 'main.js')]

function grail(args: string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...program, ...args], {
    encoding: 'utf8',
    cwd: packageRoot,
    env: { PATH: process.env.PATH ?? '', HOME: folder, ...env },
  })
  return { status, stdout, stderr }
}

function inventory(name: string, text: string): string {
  const file = join(folder, `${name}.toml`)
  writeFileSync(file, text)
  return file
}

const HOST = '[[hosts]]\nname = "a"\nroles = ["controller", "aggregator", "uploader"]\ngenerators = [{}]\n'

mkdirSync(join(folder, 'wallets', 'default', 'hotkeys'), { recursive: true })
writeFileSync(join(folder, 'wallets', 'default', 'hotkeys', 'default'), '{"ss58Address":"x"}')
chmodSync(join(folder, 'wallets', 'default', 'hotkeys', 'default'), 0o644)

const CASES: { what: string; args: string[]; status: number; says: RegExp; env?: Record<string, string> }[] = [
  { what: 'no verb', args: [], status: 2, says: /usage: grail VERB/ },
  { what: 'help', args: ['--help'], status: 0, says: /validate +the validator's verdict/ },
  { what: 'an unknown verb', args: ['mien'], status: 2, says: /no verb "mien"/ },
  { what: 'an unknown option', args: ['config', '--cofnig', 'x'], status: 1, says: /--cofnig/ },
  {
    what: 'an absent inventory',
    args: ['config', '--config', join(folder, 'none.toml')],
    status: 1,
    says: /there is no .*none\.toml/,
  },
  {
    what: 'an unknown key',
    args: ['config', '--config', inventory('typo', '[fleet]\nnmae = "x"')],
    status: 1,
    says: /unknown key fleet\.nmae/,
  },
  { what: 'an unknown role', args: ['actor', 'miner'], status: 2, says: /controller\|aggregator\|uploader\|generator/ },
  {
    what: 'a host that is not described',
    args: ['actor', 'generator', '--config', inventory('host', HOST), '--host', 'b'],
    status: 1,
    says: /no host is called "b".*choose one of a/,
  },
  {
    what: 'a wallet that is not there',
    args: ['actor', 'aggregator', '--config', inventory('wallet', `[wallet]\npath = "nowhere"\n${HOST}`)],
    status: 1,
    says: /nowhere.*(btcli|grail wallet new)/,
  },
  {
    what: 'a wallet others may read',
    args: ['actor', 'aggregator', '--config', inventory('open', `[wallet]\npath = "wallets"\n${HOST}`)],
    status: 1,
    says: /chmod/,
  },
  {
    what: 'a bucket that is not described',
    args: ['actor', 'uploader', '--config', inventory('bucket', HOST)],
    status: 1,
    says: /set bucket\.name \(R2_BUCKET_ID\)/,
  },
  {
    what: 'a generator that does not exist',
    args: ['actor', 'generator', '--config', inventory('number', HOST), '--number', '3'],
    status: 1,
    says: /no generator 3/,
  },
  {
    what: 'a render without a host',
    args: ['render', 'supervisor', '--config', inventory('empty', '')],
    status: 1,
    says: /describes no host/,
  },
  {
    what: 'an absent file to validate',
    args: ['validate', join(folder, 'none.parquet')],
    status: 2,
    says: /none\.parquet/,
  },
  { what: 'vectors of an absent folder', args: ['vectors', join(folder, 'none')], status: 1, says: /none/ },
  { what: 'nothing to stop', args: ['down', '--state', join(folder, 'state')], status: 0, says: /nothing runs/ },
]

t.test('each verb answers with one sentence and an exit code', async t => {
  for (const { what, args, status, says, env } of CASES) {
    const ran = grail(args, env)
    t.equal(ran.status, status, `${what}: exit code ${status}`)
    t.match(`${ran.stdout}${ran.stderr}`, says, what)
    t.notMatch(ran.stderr, /\n\s+at /, `${what}: no stack`)
  }
})

t.test('the inventory is shown with origins, and secrets of the environment are masked', async t => {
  const ran = grail(['config', '--config', inventory('shown', HOST)], { R2_WRITE_SECRET_ACCESS_KEY: 'verysecret' })
  t.equal(ran.status, 0)
  t.match(ran.stdout, /environment R2_WRITE_SECRET_ACCESS_KEY/)
  t.notMatch(ran.stdout + ran.stderr, /verysecret/)
})

t.test('a closed pipe is no error', async t => {
  const ran = spawnSync('bash', ['-c', `"$0" "$@" --help | head -1`, process.execPath, ...program], {
    encoding: 'utf8',
    cwd: packageRoot,
  })
  t.match(ran.stdout, /^grail:/)
  t.notMatch(ran.stderr, /EPIPE/)
})
