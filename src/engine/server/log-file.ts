import { appendFile, mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** A log that never takes more room than it was given. */
export interface LogFile {
  /** Takes a line; it is written soon. */
  write(line: string): void
  /** Resolves when everything taken so far is written, or was given up. */
  flush(): Promise<void>
}

export interface LogFileOptions {
  /** A file that would grow beyond it becomes `<file>.1`, bytes. */
  bytes: number
  /** Older files that are kept: `<file>.1` is the newest of them. */
  backups: number
  /** Told, once per stretch of trouble, why lines are lost. */
  onTrouble: (message: string) => void
}

/** Lines that wait for a slow disk; what comes on top is lost, for the server's log is not worth the generator's memory. */
const MOST_WAITING = 10_000
const OWNER_ONLY = 0o600

/**
 * A log file with rotation by size, of one process: the lines of a generation server, which writes far more than the
 * actor that looks after it. A disk that is full or gone costs lines, never the server.
 * @param file absolute; its folder is made
 */
export function openLogFile(file: string, { bytes, backups, onTrouble }: LogFileOptions): LogFile {
  let waiting: string[] = []
  let lost = 0
  let writing: Promise<void> = Promise.resolve()
  let busy = false
  let troubled = false
  /** Bytes in the file; unknown until it is looked at, since an earlier run may have left one. */
  let size: number | undefined

  async function rotate(): Promise<void> {
    if (backups === 0) await rm(file, { force: true })
    else await rename(file, `${file}.1`)
    size = 0
  }

  async function shift(): Promise<void> {
    await rm(`${file}.${backups}`, { force: true })
    for (let n = backups - 1; n >= 1; n--)
      await rename(`${file}.${n}`, `${file}.${n + 1}`).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
    await rotate()
  }

  async function append(lines: string[]): Promise<void> {
    if (size === undefined) {
      await mkdir(dirname(file), { recursive: true })
      size = await stat(file).then(
        found => found.size,
        () => 0,
      )
    }
    for (let from = 0; from < lines.length; ) {
      const room = bytes - size
      let text = ''
      let length = 0
      for (; from < lines.length; from++) {
        const next = Buffer.byteLength(lines[from]!) + 1
        // A line longer than a whole file stands alone in one.
        if (length + next > room && (size > 0 || length > 0)) break
        text += `${lines[from]}\n`
        length += next
      }
      if (text !== '') await appendFile(file, text, { mode: OWNER_ONLY })
      size += length
      if (from < lines.length) await shift()
    }
  }

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const lines = waiting
      waiting = []
      if (lost > 0) lines.push(`… ${lost} lines lost: the disk is too slow`)
      lost = 0
      try {
        await append(lines)
        troubled = false
      } catch (error) {
        size = undefined
        if (!troubled) onTrouble(`${file} cannot be written (${(error as Error).message}): its lines are lost`)
        troubled = true
      }
    }
    busy = false
  }

  return {
    write(line) {
      if (waiting.length >= MOST_WAITING) {
        lost++
        return
      }
      waiting.push(line)
      if (busy) return
      busy = true
      writing = drain()
    },
    flush: () => writing,
  }
}
