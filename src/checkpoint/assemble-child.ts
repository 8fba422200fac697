import { type Assembled, type Assembly, assemble } from './assemble.js'
import { CheckpointError } from './checkpoint-error.js'
import { DeltaError } from './delta.js'

/** What the process answers. */
export type AssemblyAnswer =
  | { done: Assembled }
  /** Errors lose their class between processes; these say what the other side needs to know. */
  | { failed: { message: string; kind: 'delta' | 'weights' | 'other'; code: string | undefined } }

// Whoever asked is gone: what is half written here is theirs, and nobody reads the answer.
process.on('disconnect', () => process.exit(1))

process.once('message', (job: Assembly) => {
  void assemble(job, new AbortController().signal)
    .then(
      (done): AssemblyAnswer => ({ done }),
      (error: NodeJS.ErrnoException): AssemblyAnswer => ({
        failed: {
          message: error.message,
          kind: error instanceof DeltaError ? 'delta' : error instanceof CheckpointError ? 'weights' : 'other',
          code: error instanceof CheckpointError ? undefined : error.code,
        },
      }),
    )
    .then(answer => process.send?.(answer, () => process.disconnect()))
})
