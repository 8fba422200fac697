/**
 * For the aggregator's node process. A rollout leaves some 80 KB of short-lived text behind; with a young generation of 32 MB
 * instead of 16 less of it is looked at while it still lives: 7 % less CPU for a rollout, 4 MB more memory.
 */
export const NODE_ARGS: readonly string[] = ['--max-semi-space-size=32']

/**
 * … and for its environment. zstd allocates a megabyte for every page it compresses; in one arena of glibc's they are used again, in
 * the several of a process with threads 30 MB more lie idle at the end of a window of 12,800 rollouts.
 */
export const NODE_ENVIRONMENT: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '1' }
