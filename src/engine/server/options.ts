import type { Profile } from '../../protocol/profile.js'
import type { ProverOptions } from './proof-workers.js'

export interface ServedOptions {
  profile?: Profile
  /** Of this engine on this host, e.g. 'generator-0': names its record, its links and its log lines. */
  name: string
  /** Absolute folder for what has to outlive this process: the record of the server's processes, caches, links. */
  stateFolder: string
  /** The server to start. One of `start` and `attach` must be given. */
  start?: {
    /** A virtual environment's folder, a Python, or another executable that takes the server's own arguments. Absolute. */
    program: string
    extraArgs?: readonly string[]
    /** The server's environment: PATH, HOME, CUDA_VISIBLE_DEVICES, …; nothing is inherited. */
    env?: Readonly<Record<string, string>>
    /** Absent: one of the kernel's choice. */
    port?: number
    tensorParallel?: number
    /** Share of the GPU's memory the server may take, in (0, 1). */
    memoryShare?: number
  }
  /** A server that somebody else started, and keeps. Its sequences and context length are its owner's choice. */
  attach?: { url: string; apiKey?: string }
  /** Longest sequence in tokens that the server is started for; the model's own limit where that is lower. */
  contextLength?: number
  /** Groups generated at once: where it starts, and the most that is tried. */
  groups?: { start?: number; most?: number }
  /** Python workers for proofs and replays, one per GPU (or CPU); at least one. */
  provers: readonly ProverOptions[]
  /** Receives what the server and the workers write, and what becomes of them, line by line. */
  onLog?: (line: string) => void
  /** Processes that hold GPU memory now; undefined where nobody can say. See gpus.ts. */
  gpuProcesses?: () => Promise<ReadonlySet<number> | undefined>
  /** Where the started server's own lines go, in place of onLog; see log-file.ts. Absolute. */
  logFile?: { file: string; bytes: number; backups: number }
  limits?: Partial<ServedLimits>
  /** In [0, 1); spreads restarts and retries. */
  random?: () => number
}

/** Times in ms. */
export interface ServedLimits {
  /** From the start of the server to its first generation: weights, graphs and kernels take minutes. */
  startMs: number
  /** How often a server nobody heard of is asked to generate. */
  healthEveryMs: number
  healthMs: number
  /** For one completion (one-covenant/grail backends/sglang.py allows 300 s, 54d6342). */
  completionMs: number
  /** How long the server may take to end after SIGTERM, before SIGKILL. */
  termMs: number
  crashBudget: { crashes: number; withinMs: number }
  /** Wait before the second attempt at a completion; doubled before the third. */
  retryMs: number
}

export const LIMITS: ServedLimits = {
  startMs: 900_000,
  healthEveryMs: 15_000,
  healthMs: 60_000,
  completionMs: 300_000,
  // A server in good health ends within seconds. An actor has 15 s to end itself, and a server that is not killed before
  // that lives on with the GPU's memory: half of it leaves time for what the actor was at, and for the kernel.
  termMs: 8_000,
  crashBudget: { crashes: 5, withinMs: 1_800_000 },
  retryMs: 1_000,
}
