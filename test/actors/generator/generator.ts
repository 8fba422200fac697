import t from 'tap'
import type { GeneratorParts } from '../../../actors/generator/desk.js'
import { runGenerator } from '../../../actors/generator/generator.js'
import { outside, settled } from './helpers/parts.js'

t.test('told to end in its first load, a generator ends its engine and then itself', async t => {
  const world = outside()
  const end = new AbortController()
  world.beforeLoad = () =>
    new Promise((_, reject) => end.signal.addEventListener('abort', () => reject(end.signal.reason), { once: true }))
  // Nothing is said to the broker before the first checkpoint is loaded.
  const running = runGenerator(
    { ...world.parts, broker: undefined, instance: 'g' } as unknown as GeneratorParts,
    end.signal,
  )
  await settled()
  t.same(world.done, ['fetch undefined now', 'load 0'])
  end.abort(new Error('stopped by SIGTERM'))
  await t.resolves(running)
  t.equal(world.done.at(-1), 'close engine')
})
