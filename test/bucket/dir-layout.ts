import t from 'tap'
import { pathOfKey, segmentOfFile, segmentOfFolder } from '../../src/bucket/dir-layout.js'

await t.test('a key has a readable path', async t => {
  const cases: [key: string, path: string][] = [
    ['grail/windows/5F-window-30.parquet', 'grail/windows/5F-window-30.parquet'],
    ['a', 'a.'],
    ['a.', 'a%2E.'],
    ['a/b', 'a/b.'],
    ['a.b/c.d', 'a%2Eb/c.d'],
    ['.a', '%2Ea.'],
    ['.a.b', '%2Ea.b'],
    ['...', '%2E.%2E'],
    ['a%2E', 'a%252E.'],
    ['a b+c', 'a%20b%2Bc.'],
    ['é', '%C3%A9.'],
    ["!'()*~", '%21%27%28%29%2A%7E.'],
  ]
  for (const [key, path] of cases) t.equal(pathOfKey(key), path, key)
})

await t.test('the path leads back to the key, and no two keys share one', async t => {
  const letters = ['a', 'A', '.', '%', '2', 'E', '-', ' ', 'é', '\u{1F600}', '+']
  const paths = new Map<string, string>()
  const grow = (segment: string, length: number): void => {
    if (segment !== '' && segment !== '.' && segment !== '..') {
      const file = pathOfKey(segment)
      const folder = pathOfKey(`${segment}/x`).slice(0, -'/x.'.length)
      if (segmentOfFile(file) !== segment) t.fail(`${file} is read as ${segmentOfFile(file)} instead of ${segment}`)
      if (segmentOfFolder(folder) !== segment) t.fail(`${folder}/ is read as ${segmentOfFolder(folder)}`)
      for (const [path, what] of [
        [file, `the object ${segment}`],
        [folder, `the folder ${segment}/`],
      ] as const) {
        if (paths.has(path)) t.fail(`${path} is ${what} and ${paths.get(path)}`)
        if (path.startsWith('.')) t.fail(`${path} is a name of the bucket's own`)
        paths.set(path, what)
      }
    }
    if (length > 0) for (const letter of letters) grow(segment + letter, length - 1)
  }
  grow('', 4)
  t.ok(paths.size > 30_000, `${paths.size} paths are different`)
})

await t.test('names no key leads to are none', async t => {
  for (const name of ['.hidden', 'plain', 'a%2e', 'a%', '%2F.', 'a..', '.', '%ZZ.'])
    t.equal(segmentOfFile(name), undefined, name)
  for (const name of ['.bucket', 'a.b', '%61', '%']) t.equal(segmentOfFolder(name), undefined, name)
})

await t.test('a segment too long for a file name is refused', async t => {
  pathOfKey('x'.repeat(254))
  t.throws(() => pathOfKey('x'.repeat(255)), { code: 'invalid-key' })
  t.throws(() => pathOfKey(`${'é'.repeat(50)}/a`), { code: 'invalid-key' })
})
