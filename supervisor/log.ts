import pino from 'pino'
import type { Log } from '../actors/actor.js'

/** Fields that must never be written, wherever an object with them is logged: pino's wildcards reach one level, so each depth is named. */
const SECRET_FIELDS = [
  'secretSeed',
  'secretPhrase',
  'privateKey',
  'password',
  'secretAccessKey',
  'secret_access_key',
  'token',
].flatMap(field => [field, `*.${field}`, `*.*.${field}`])

/**
 * The log of one actor: JSON lines on stdout, where supervisord keeps and rotates them. Written synchronously: the last
 * lines before a crash are the ones that matter.
 */
export function openLog(level: string, fields: Record<string, unknown>): Log & { flush(): void } {
  return pino(
    {
      level,
      base: fields,
      redact: { paths: SECRET_FIELDS, censor: '********' },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 1, sync: true }),
  )
}
