import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { ZodError } from 'zod'
import { ConfigError } from './config-error.js'
import { type Config, configSchema, ENVIRONMENT_NAMES, ENVIRONMENT_ONLY } from './schema.js'

/** Where a value came from. */
export type Origin = 'default' | 'file' | `environment ${string}`

export interface LoadedConfig {
  config: Config
  /** Folder of grail.toml: relative paths in it start here. */
  folder: string
  file: string
  /** By dotted key. */
  origins: ReadonlyMap<string, Origin>
}

type Tree = Record<string, unknown>

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function put(tree: Tree, path: string, value: unknown): void {
  const [section = '', key = ''] = path.split('.')
  const inner = isTree(tree[section]) ? tree[section] : {}
  inner[key] = value
  tree[section] = inner
}

/** Text of an environment variable as the schema wants it: lists by comma, numbers where the key is one. */
function fromText(path: string, text: string): unknown {
  if (path === 'nats.servers' || path === 'chain.endpoints') return text.split(',').map(part => part.trim())
  if (path === 'chain.netuid') return Number(text)
  return text
}

function keysOf(tree: Tree, prefix = ''): string[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`
    return isTree(value) ? keysOf(value, path) : [path]
  })
}

function explain(error: ZodError, file: string): string {
  const lines = error.issues.map(issue => {
    const where = issue.path.join('.')
    if (issue.code === 'unrecognized_keys') {
      const keys = issue.keys.map(key => (where === '' ? key : `${where}.${key}`)).join(', ')
      return `unknown key ${keys}: remove it or mend its spelling ("grail config" lists every key)`
    }
    return `${where === '' ? 'the file' : where}: ${issue.message}`
  })
  return `${file}: ${lines.join('; ')}`
}

/** `~` is the home folder; anything relative starts at `folder`. */
export function pathFrom(folder: string, path: string): string {
  if (path === '~' || path.startsWith('~/')) return join(homedir(), path.slice(1))
  return isAbsolute(path) ? path : resolve(folder, path)
}

/**
 * Reads and checks one grail.toml; the environment wins over the file, the file over the defaults.
 * @param env the process environment; read here and nowhere below
 * @throws ConfigError with one sentence: unreadable or broken file, unknown key, wrong type, secret in the wrong place
 */
export function loadConfig(file: string, env: Readonly<Record<string, string | undefined>>): LoadedConfig {
  const path = resolve(file)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT')
      throw new ConfigError(
        `there is no ${file}: run "make up" for a rehearsal, or write one ("grail config --example")`,
      )
    throw new ConfigError(`${file} cannot be read (${code}): make it readable for this user`, { cause: error })
  }
  let tree: Tree
  try {
    tree = parse(text) as Tree
  } catch (error) {
    const why = error instanceof TomlError ? (error.message.split('\n')[0] ?? '') : String(error)
    const where = error instanceof TomlError ? `:${error.line}:${error.column}` : ''
    throw new ConfigError(`${file}${where} is not valid TOML: ${why}`, { cause: error })
  }
  const inFile = new Set(keysOf(tree))
  for (const key of ENVIRONMENT_ONLY)
    if (inFile.has(key)) {
      const name = Object.entries(ENVIRONMENT_NAMES).find(([, target]) => target === key)?.[0]
      throw new ConfigError(`${file}: ${key} must not stand in this file: set ${name} or name a file with mode 0600`)
    }
  const origins = new Map<string, Origin>()
  for (const key of inFile) origins.set(key, 'file')
  for (const [name, target] of Object.entries(ENVIRONMENT_NAMES)) {
    const value = env[name]
    if (value === undefined || value === '') continue
    put(tree, target, fromText(target, value))
    origins.set(target, `environment ${name}`)
  }
  let config: Config
  try {
    config = configSchema.parse(tree)
  } catch (error) {
    if (error instanceof ZodError) throw new ConfigError(explain(error, file), { cause: error })
    throw error
  }
  for (const key of keysOf(config as unknown as Tree)) if (!origins.has(key)) origins.set(key, 'default')
  return { config: Object.freeze(config), folder: dirname(path), file: path, origins }
}

/**
 * A secret from a file of its own, without the line end.
 * @throws ConfigError when it is absent, empty, or readable by others
 */
export function readSecret(path: string, what: string): string {
  let mode: number
  let text: string
  try {
    mode = statSync(path).mode
    text = readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new ConfigError(`${what}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    })
  }
  if ((mode & 0o077) !== 0) throw new ConfigError(`${what}: ${path} is readable by others: chmod 600 ${path}`)
  if (text === '') throw new ConfigError(`${what}: ${path} is empty`)
  return text
}
