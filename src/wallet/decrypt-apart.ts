import { fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DecryptAnswer, DecryptRequest } from './decrypt-child.js'
import { WalletError } from './wallet-error.js'

/** argon2 takes 4 s of an idle core; a loaded host gets two minutes. */
const TIME_LIMIT_MS = 120_000

const child = fileURLToPath(new URL(`./decrypt-child${extname(fileURLToPath(import.meta.url))}`, import.meta.url))

/**
 * Decrypts a hotkey file in a process of its own, which needs about 600 MB for a few seconds and is gone afterwards.
 * undefined: the password does not open the file. Throws WalletError 'decryption' when the process died or took too long.
 * @param where the file's path, for the error
 */
export async function decryptApart(
  request: DecryptRequest,
  where: string,
  signal?: AbortSignal,
): Promise<Uint8Array | undefined> {
  const worker = fork(child, [], {
    env: {},
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    timeout: TIME_LIMIT_MS,
    killSignal: 'SIGKILL',
    ...(signal ? { signal } : {}),
  })
  return await new Promise((resolve, reject) => {
    worker.once('message', (answer: DecryptAnswer) => resolve(answer.clear))
    worker.once('error', reject)
    worker.once('exit', (code, killed) => {
      const how = killed ? `was ended by ${killed}` : `ended with code ${code}`
      reject(
        new WalletError(
          'decryption',
          `the process decrypting ${where} ${how}: it needs 600 MB of free memory and up to ${TIME_LIMIT_MS / 1000} s; free memory, or store the hotkey unencrypted with mode 600`,
        ),
      )
    })
    worker.send(request, error => {
      if (error) reject(error)
    })
  })
}
