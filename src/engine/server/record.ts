import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { EngineError } from '../engine.js'
import { signalGroup } from '../process-group.js'
import { bootId, groupGoneWithin, groupMembers, type ProcessId, processFacts } from './processes.js'

// A killed generator leaves its server behind, on the GPU. The next one finds it by what the first wrote down here, and
// by nothing else: whoever has the port or the name may be somebody else.

const Id = z.strictObject({ pid: z.int().positive(), startTicks: z.int().nonnegative() })
const GroupRecord = z.strictObject({
  boot: z.string(),
  /** The process that started the group and looks after it. */
  owner: Id,
  pgid: z.int().positive(),
  processes: z.array(Id),
})
type GroupRecord = z.infer<typeof GroupRecord>

const OWNER_ONLY = 0o600
/** A process that survives SIGKILL this long hangs in the kernel. */
const KILL_MS = 10_000

/** Writes down the group and who is in it now; whole or not at all. */
export async function recordGroup(file: string, pgid: number): Promise<void> {
  const [boot, owner, members] = await Promise.all([bootId(), processFacts(process.pid), groupMembers(pgid)])
  // Without /proc no process can be told from a later one of the same number, so none is recorded.
  if (!owner) return
  const id = ({ pid, startTicks }: ProcessId): ProcessId => ({ pid, startTicks })
  const record: GroupRecord = { boot, owner: id(owner), pgid, processes: members.map(id) }
  await mkdir(dirname(file), { recursive: true })
  const partial = `${file}.${process.pid}.partial`
  await writeFile(partial, `${JSON.stringify(record)}\n`, { mode: OWNER_ONLY })
  await rename(partial, file)
}

export async function forgetGroup(file: string): Promise<void> {
  await rm(file, { force: true })
}

async function isAlive({ pid, startTicks }: ProcessId): Promise<boolean> {
  return (await processFacts(pid))?.startTicks === startTicks
}

/**
 * Ends what an earlier run left behind, if a recorded process with the recorded start time still lives in the recorded
 * group. A group none of whose recorded processes lives is left alone: its number may be somebody else's by now.
 * @returns the processes that were ended, by id
 * @throws EngineError 'never' when the record's owner is alive: two engines were given the same state folder and name
 */
export async function endOrphans(
  file: string,
  { termMs, onLog }: { termMs: number; onLog: (line: string) => void },
): Promise<number[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return []
  const parsed = GroupRecord.safeParse(parseJson(text))
  if (!parsed.success) {
    onLog(`${file} is not a record of a server (${z.prettifyError(parsed.error)}): ignored and removed`)
    await forgetGroup(file)
    return []
  }
  const { boot, owner, pgid, processes } = parsed.data
  if (boot !== (await bootId())) {
    await forgetGroup(file)
    return []
  }
  if (owner.pid !== process.pid && (await isAlive(owner)))
    throw new EngineError(
      `${file} belongs to process ${owner.pid}, which is alive: give each engine a name or a state folder of its own`,
      'never',
    )
  const members = await groupMembers(pgid)
  const ours = members.some(member => processes.some(p => p.pid === member.pid && p.startTicks === member.startTicks))
  if (ours) {
    onLog(`${members.length} processes of an earlier run are still there (group ${pgid}) and are ended`)
    signalGroup(pgid, 'SIGTERM')
    if (!(await groupGoneWithin(pgid, termMs))) {
      signalGroup(pgid, 'SIGKILL')
      if (!(await groupGoneWithin(pgid, KILL_MS)))
        throw new EngineError(`processes of group ${pgid} survived SIGKILL: they hang in the kernel`, 'later')
    }
  }
  await forgetGroup(file)
  return ours ? members.map(({ pid }) => pid) : []
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
