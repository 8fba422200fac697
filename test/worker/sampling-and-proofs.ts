import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { runWorkerPython, workerPythonAbsent } from '../helpers/worker-python.js'

t.setTimeout(240_000)

await t.test('sampling and proofs of the worker', { skip: workerPythonAbsent }, async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sampling-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const checkpoint = join(folder, 'tiny')
  await runWorkerPython('tiny_checkpoint.py', checkpoint, '5', 'whole')
  const verdicts = JSON.parse(await runWorkerPython('sampling_and_proofs.py', checkpoint)) as Record<string, boolean>
  t.equal(Object.keys(verdicts).length, 62, 'every question was asked')
  for (const [name, verdict] of Object.entries(verdicts)) t.ok(verdict, name)
})
