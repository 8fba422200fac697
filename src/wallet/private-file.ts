import { constants, type FileHandle, open } from 'node:fs/promises'
import { WalletError } from './wallet-error.js'

/** A hotkey file is under 2 KB in every form; more is something else. */
const MAX_BYTES = 64 * 1024

/** Anybody but the owner: read, write, execute of group and others. */
const OTHERS = 0o077

/**
 * The bytes of a file that only its owner may read. Throws WalletError: 'absent' (with `createWith`), 'unreadable',
 * 'permissions' (with the chmod that mends it) or 'broken' (not a regular file, too large).
 * @param what what the file is, for the error: 'hotkey file'
 * @param createWith how to make one
 */
export async function readPrivateFile(file: string, what: string, createWith: string): Promise<Uint8Array> {
  const handle = await openFile(file, what, createWith)
  try {
    // The checks are of the open file, so that it cannot be exchanged between check and read.
    const facts = await handle.stat()
    if (!facts.isFile()) throw new WalletError('broken', `${file} is not a file: a ${what} is expected there`)
    if ((facts.mode & OTHERS) !== 0) {
      const mode = (facts.mode & 0o777).toString(8)
      throw new WalletError(
        'permissions',
        `${file} may be used by others than its owner (mode ${mode}): run chmod 600 ${quote(file)}`,
      )
    }
    if (facts.size > MAX_BYTES) throw new WalletError('broken', `${file} has ${facts.size} bytes: that is no ${what}`)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

async function openFile(file: string, what: string, createWith: string): Promise<FileHandle> {
  try {
    return await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new WalletError('absent', `there is no ${what} at ${file}: ${createWith}`, { cause })
    }
    throw new WalletError(
      'unreadable',
      `the ${what} ${file} cannot be read (${code}): make this program's user its owner`,
      {
        cause,
      },
    )
  }
}

/** A path as one word of a POSIX shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
