import type { LoadedConfig } from './load.js'
import { ENVIRONMENT_NAMES, SECRET_KEYS } from './schema.js'

/** Every value with its origin, one line each, secrets masked. */
export function showConfig({ config, origins, file }: LoadedConfig): string[] {
  const overrides = new Map(Object.entries(ENVIRONMENT_NAMES).map(([name, key]) => [key, name]))
  const lines = [`# ${file}`]
  for (const [section, values] of Object.entries(config)) {
    if (Array.isArray(values)) {
      for (const [i, value] of values.entries()) lines.push(`${section}[${i}] = ${JSON.stringify(value)}  # file`)
      continue
    }
    for (const [key, value] of Object.entries(values as Record<string, unknown>)) {
      const path = `${section}.${key}`
      const secret = SECRET_KEYS.has(path) && value !== ''
      const override = overrides.get(path)
      const hint = override === undefined ? '' : ` (${override} overrides)`
      lines.push(
        `${path} = ${secret ? '"********"' : JSON.stringify(value)}  # ${origins.get(path) ?? 'default'}${hint}`,
      )
    }
  }
  return lines
}
