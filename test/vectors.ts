import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { vectorsCommand } from '../supervisor/commands/vectors.js'
import { vectorChecks } from '../supervisor/vectors/index.js'
import { runVectorFile } from '../supervisor/vectors/run.js'
import { sharedAbsent, sharedFolder } from './helpers/shared.js'

const vectors = join(sharedFolder, 'spec', 'vectors')

t.test('this build agrees with every case of the reference', { skip: sharedAbsent }, async t => {
  const names = (await readdir(vectors)).filter(name => name.endsWith('.json'))
  for (const name of names) {
    const result = await runVectorFile(join(vectors, name), vectorChecks)
    t.same(result.failures, [], `${name}: ${result.total} cases`)
    t.ok(result.total > 0, `${name} has cases`)
  }
})

t.test('grail vectors', async t => {
  const run = async (files: Record<string, string>) => {
    const folder = await mkdtemp(join(tmpdir(), 'grail-vectors-'))
    t.teardown(() => rm(folder, { recursive: true }))
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const lines: string[] = []
    const code = await vectorsCommand([folder], line => lines.push(line))
    return { code, lines }
  }
  const nonces = (nonce: number) =>
    JSON.stringify({
      cases: [
        { group: 2, rollout_idx: 3, nonce },
        { group: 0, rollout_idx: 0, nonce: 0 },
      ],
    })

  t.test('prints a line per file and a total, and ends with 0 when everything agrees', async t => {
    const { code, lines } = await run({ 'nonce.json': nonces(35), 'nonce_fork.json': nonces(203), 'notes.txt': '' })
    t.same(lines, ['nonce.json 2/2', 'nonce_fork.json 2/2', '4 passed, 0 failed'])
    t.equal(code, 0)
  })

  t.test('names a case that disagrees, with what was expected and what came out', async t => {
    const { code, lines } = await run({ 'nonce.json': nonces(36) })
    t.same(lines, ['nonce.json 1/2', '  case 0: expected 36, got 35', '1 passed, 1 failed'])
    t.equal(code, 1)
  })

  t.test('counts as one failure', async t => {
    const files: [title: string, name: string, text: string, said: RegExp][] = [
      ['a file nobody has a check for', 'horoscope.json', '{"cases":[{}]}', /no check knows/],
      ['a file that is no JSON', 'nonce.json', '{"cases":', /cannot be read/],
      ['a file that is no object', 'nonce.json', '[]', /not a JSON object/],
      ['a file with an empty list of cases', 'nonce.json', '{"cases":[]}', /no cases/],
      ['a file without cases', 'nonce.json', '{}', /no cases/],
      ['a check that throws', 'prf.json', '{"cases":[{}]}', /threw TypeError/],
    ]
    for (const [title, name, text, said] of files) {
      const { code, lines } = await run({ [name]: text })
      t.equal(code, 1, title)
      t.match(lines[1], said, `${title} is said`)
      t.equal(lines.at(-1), '0 passed, 1 failed', title)
    }
  })

  t.test('shows three failures of a file and how many more there are', async t => {
    const cases = Array.from({ length: 5 }, (_, group) => ({ group, rollout_idx: 0, nonce: -1 }))
    const { lines } = await run({ 'nonce.json': JSON.stringify({ cases }) })
    t.equal(lines.length, 6)
    t.equal(lines[4], '  … and 2 more')
  })

  t.test('an expected error is met by a refusal of ours, not by a slip of the program', async t => {
    const prf = (over: object) =>
      JSON.stringify({ cases: [{ label_hex: '00', parts_hex: [], out_bytes: 70_000, error: 'ValueError', ...over }] })
    t.equal((await run({ 'prf.json': prf({}) })).code, 0)
    t.equal((await run({ 'prf.json': prf({ out_bytes: 1 }) })).code, 1, 'nothing was refused')
    t.equal((await run({ 'prf.json': prf({ parts_hex: null }) })).code, 1, 'the check itself broke')
  })

  t.test('a folder that is missing or empty is a failure, a wrong call a usage error', async t => {
    t.equal((await run({})).code, 1)
    t.equal(await vectorsCommand([join(tmpdir(), 'no-such-folder')], () => {}), 1)
    t.equal(await vectorsCommand([], () => {}), 2)
    t.equal(await vectorsCommand(['a', 'b'], () => {}), 2)
  })
})
