import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../src/package-root.js'

// Real processes and disks: on a busy machine they take their time.
t.setTimeout(280_000)

// The set-up of the local S3 server, in a tree of its own: nothing here touches the one that is installed.

const SCRIPT = 'supervisor/setup/s3-server.sh'
const REQUIREMENTS = 'supervisor/setup/s3-requirements.txt'

const root = t.testdir()
mkdirSync(join(root, 'supervisor/setup'), { recursive: true })
copyFileSync(join(packageRoot, SCRIPT), join(root, SCRIPT))
const stamp = join(root, '.venv-s3/stamp')

/** Runs the set-up with these requirements and no package index in reach. */
function setUp(requirements: string, env: Record<string, string> = {}): { code: number | null; says: string } {
  writeFileSync(join(root, REQUIREMENTS), requirements)
  const { status, stdout, stderr } = spawnSync('bash', [join(root, SCRIPT)], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', PIP_NO_INDEX: '1', ...env },
  })
  t.equal(stdout, '', 'it is quiet')
  return { code: status, says: stderr }
}

await t.test('without Python, or with one that is no Python, it says what to install', async t => {
  for (const PYTHON of ['/nonexistent/python3', 'false']) {
    const { code, says } = setUp('', { PYTHON })
    t.equal(code, 1)
    t.match(says, /^setup: the local S3 server needs Python 3\.10 or newer, found none: install python3/)
  }
})

await t.test('done once, it does nothing more', async t => {
  t.same(setUp('# nothing\n'), { code: 0, says: '' })
  t.equal(readFileSync(join(root, '.venv-s3/.gitignore'), 'utf8'), '*\n', 'git does not see what it made')
  const made = statSync(stamp).mtimeMs
  t.same(setUp('# nothing\n'), { code: 0, says: '' })
  t.equal(statSync(stamp).mtimeMs, made)
})

await t.test(
  'other requirements are set up anew; a package that cannot be had is told, and nothing counts as done',
  async t => {
    const { code, says } = setUp('there-is-no-such-package==1.0\n')
    t.equal(code, 1)
    t.match(says, /there-is-no-such-package/)
    t.match(says, /setup: pip could not install supervisor\/setup\/s3-requirements\.txt: see above/)
    t.equal(existsSync(stamp), false)
  },
)

await t.test('every package is pinned to one version', async t => {
  const lines = readFileSync(join(packageRoot, REQUIREMENTS), 'utf8').split('\n')
  const wanted = lines.filter(line => line !== '' && !line.startsWith('#'))
  t.ok(wanted.length > 20)
  for (const line of wanted) t.match(line, /^[A-Za-z0-9._-]+==[0-9a-z.]+$/)
})

rmSync(join(root, '.venv-s3'), { recursive: true, force: true })
