import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import t from 'tap'
import { packageRoot } from '../src/package-root.js'

// The directions of imports: supervisor → actors → { src, nats }; src and nats do not know each other.

/** What a part of the outside world needs of another one: an interface, never a driver. */
const MAY_ALSO: Record<string, string[]> = {
  chain: ['src/wallet/'],
  engine: ['src/environment/'],
  checkpoint: ['src/bucket/', 'src/chain/'],
  validation: ['src/engine/engine', 'src/environment/environment', 'src/environment/tokenizer', 'src/wallet/'],
}

const FOLDERS = ['src', 'nats', 'actors', 'supervisor']

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

/** Every import of a file: relative ones as paths from the root, packages by name. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  const found = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(match => match[1] as string)
  return found.map(name =>
    name.startsWith('.') ? relative(packageRoot, normalize(join(dirname(file), name))).replace(/\.js$/, '.ts') : name,
  )
}

const files = FOLDERS.flatMap(folder => sources(join(packageRoot, folder))).map(file => ({
  path: relative(packageRoot, file),
  imports: importsOf(file),
  text: readFileSync(file, 'utf8'),
}))
const under = (folder: string) => files.filter(({ path }) => path.startsWith(folder))
const isLocal = (name: string) => FOLDERS.some(folder => name.startsWith(`${folder}/`))

/** Local imports of `folder` that start with none of `allowed`. */
function trespasses(folder: string, allowed: string[]): string[] {
  return under(folder).flatMap(({ path, imports }) =>
    imports
      .filter(name => isLocal(name) && !allowed.some(prefix => name.startsWith(prefix)))
      .map(name => `${path} imports ${name}`),
  )
}

/** Imports by which a file comes back to itself, over any number of others; those of types count too. */
function circles(): string[] {
  const importsOfFile = new Map(files.map(({ path, imports }) => [path, imports]))
  const reachedFrom = (start: string): Set<string> => {
    const reached = new Set<string>()
    const ahead = [start]
    for (let path = ahead.pop(); path !== undefined; path = ahead.pop())
      for (const name of importsOfFile.get(path) ?? [])
        if (!reached.has(name)) {
          reached.add(name)
          ahead.push(name)
        }
    return reached
  }
  return files.flatMap(({ path, imports }) =>
    imports
      .filter(name => name === path || reachedFrom(name).has(path))
      .map(name => `${path} imports ${name}, which comes back to it`),
  )
}

/** Packages of `folder`'s files that are not allowed there. */
function strangers(folder: string, allowed: (name: string) => boolean): string[] {
  return under(folder).flatMap(({ path, imports }) =>
    imports
      .filter(name => !isLocal(name) && !name.startsWith('node:') && !allowed(name))
      .map(name => `${path} imports ${name}`),
  )
}

t.test('the broker layer knows nothing but itself', t => {
  t.same(trespasses('nats/', ['nats/']), [])
  t.same(
    strangers('nats/', name => ['nats', 'msgpackr'].includes(name)),
    [],
  )
  t.end()
})

t.test('the work knows nothing of the broker, the actors or the processes', t => {
  t.same(trespasses('src/', ['src/']), [])
  t.same(
    under('src/').flatMap(({ path, imports }) => imports.filter(name => name === 'nats').map(() => path)),
    [],
  )
  t.end()
})

t.test('limits of time are kept alive: AbortSignal.timeout is asked in one place', t => {
  t.same(
    files.filter(({ text }) => text.includes('AbortSignal.timeout(')).map(({ path }) => path),
    ['src/time-out.ts'],
  )
  t.end()
})

t.test('the nouns of a window know the protocol profile and nothing of the outside world', t => {
  t.same(trespasses('src/window/', ['src/window/', 'src/protocol/', 'src/package-root']), [])
  t.same(trespasses('src/protocol/', ['src/protocol/', 'src/window/', 'src/checkpoint/metadata']), [])
  t.end()
})

t.test('one part of the outside world does not reach into another', t => {
  const common = ['src/window/', 'src/protocol/', 'src/checkpoint/', 'src/package-root', 'src/time-out']
  // A verdict takes an engine's replay and an environment's reward: src/validation knows their interfaces and errors.
  for (const folder of ['bucket', 'chain', 'wallet', 'environment', 'engine', 'checkpoint', 'validation']) {
    const more: string[] = MAY_ALSO[folder] ?? []
    t.same(trespasses(`src/${folder}/`, [`src/${folder}/`, ...common, ...more]), [], folder)
  }
  t.end()
})

t.test('an actor knows the work, the broker, and of other actors only what they say', t => {
  for (const actor of ['controller', 'generator', 'aggregator', 'uploader'])
    t.same(
      under(`actors/${actor}/`).flatMap(({ path, imports }) =>
        imports
          .filter(name => name.startsWith('actors/') && name.split('/').length > 2)
          .filter(name => !name.startsWith(`actors/${actor}/`) && !name.endsWith('/messages.ts'))
          .map(name => `${path} imports ${name}`),
      ),
      [],
      actor,
    )
  t.same(trespasses('actors/', ['actors/', 'src/', 'nats/']), [])
  t.same(
    under('actors/').flatMap(({ path, imports }) =>
      imports.filter(name => /^nats\/(?!index)/.test(name)).map(() => path),
    ),
    [],
    'through its index only',
  )
  t.end()
})

t.test('nothing below the supervisor reads the environment', t => {
  const readers = files.filter(({ path, text }) => !path.startsWith('supervisor/') && /process\.env\b/.test(text))
  t.same(
    readers.map(({ path }) => path),
    [],
  )
  t.end()
})

t.test('no imports go in a circle, not even those of types', t => {
  t.same(circles(), [])
  t.end()
})

t.test('every import names a file that exists', t => {
  const missing = files.flatMap(({ path, imports }) =>
    imports
      .filter(name => isLocal(name) && !existsSync(join(packageRoot, name)))
      .map(name => `${path} imports ${name}`),
  )
  t.same(missing, [])
  t.end()
})

t.test('no file is called utils', t => {
  t.same(
    files.map(({ path }) => path).filter(path => /\butils?\b/.test(path)),
    [],
  )
  t.end()
})
