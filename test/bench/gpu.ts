import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { gpuBenchmark } from '../../bench/gpu/gpu.js'
import { EIGHT_A100, recordedNvidiaSmi } from '../helpers/nvidia-smi.js'

const folder = mkdtempSync(join(tmpdir(), 'bench-gpu-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** A Python that answers what its torch sees. */
function python(name: string, says: string): string {
  const file = join(folder, name)
  writeFileSync(file, `#!/bin/sh\n${says}\n`)
  chmodSync(file, 0o700)
  return file
}

t.test('where nothing can be measured the reason is said, and there are no figures', async t => {
  const cards = await recordedNvidiaSmi(folder, 'nvidia-smi', EIGHT_A100)
  const cases: [title: string, nvidiaSmi: string, python: string, says: RegExp][] = [
    ['no GPU', join(folder, 'absent'), python('any', 'exit 0'), /^skipped: no NVIDIA GPU \(.*no NVIDIA driver/],
    [
      'no torch',
      cards,
      python('bare', 'exit 1'),
      /^skipped: .*bare has no torch: run supervisor\/setup\/python\.sh cuda/,
    ],
    ['torch for CPUs', cards, python('cpu', 'echo 2.13.0; echo no'), /^skipped: torch 2\.13\.0 of .* sees no GPU/],
  ]
  for (const [title, nvidiaSmi, interpreter, says] of cases) {
    const said: string[] = []
    const figures = await gpuBenchmark(nvidiaSmi, interpreter).run({
      long: false,
      repetitions: 1,
      draw: () => t.fail('nothing is drawn'),
      say: line => said.push(line),
    })
    t.same(figures, [], title)
    t.equal(said.length, 1)
    t.match(said[0], says)
  }
})
