import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

// A measurement in a process of its own: told what to do, says that it is ready, begins when told to, answers, ends.

/** A prepared process that waits for the start. */
export interface Child<Result> {
  readonly pid: number
  /** Starts it and waits for its result. Rejects with what went wrong inside. */
  go(): Promise<Result>
  /** Ends it, whatever it does. */
  kill(): void
}

type Said<Result> = { ready: true } | { result: Result } | { failed: string }

/** Arguments for node, and variables besides those of this process. */
export interface NodeProcess {
  args?: readonly string[]
  environment?: Readonly<Record<string, string>>
}

/** A child that is not ready by then never will be, ms. */
const READY_MS = 120_000

/**
 * @param module compiled file (or, through tsx, source) that calls `serve`
 * @param task structured-cloneable
 * @param node how its process is started, e.g. `{ args: ['--cpu-prof'] }`
 */
export async function startChild<Task, Result>(
  module: URL,
  task: Task,
  node: NodeProcess = {},
): Promise<Child<Result>> {
  const loader = module.pathname.endsWith('.ts') ? ['--import', 'tsx'] : []
  const child = fork(fileURLToPath(module), [], {
    execArgv: [...loader, ...(node.args ?? [])],
    env: { ...process.env, ...node.environment },
    serialization: 'advanced',
  })
  const said = mailbox<Said<Result>>(child)
  child.send(task as object)
  const late = setTimeout(() => child.kill('SIGKILL'), READY_MS)
  const first = await said()
  clearTimeout(late)
  if ('failed' in first) throw new Error(first.failed)
  return {
    pid: child.pid as number,
    kill: () => void child.kill('SIGKILL'),
    async go() {
      child.send('go')
      const answer = await said()
      if ('failed' in answer) throw new Error(answer.failed)
      if (!('result' in answer)) throw new Error('a child said twice that it is ready')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      return answer.result
    },
  }
}

/** Prepares and runs at once. */
export async function runChild<Task, Result>(module: URL, task: Task, node?: NodeProcess): Promise<Result> {
  const child = await startChild<Task, Result>(module, task, node)
  return child.go()
}

/** The module of a URL beside the caller's, as source or compiled, whichever the caller is. */
export function beside(caller: string, name: string): URL {
  return new URL(`./${name}${caller.endsWith('.ts') ? '.ts' : '.js'}`, caller)
}

/**
 * The child's side: prepares, waits for the start, runs, answers, ends.
 * @param prepare everything that must not be measured; returns what is
 */
export function serve<Task, Result>(prepare: (task: Task) => Promise<() => Promise<Result>>): void {
  const send = (message: Said<Result>) =>
    new Promise<void>((resolve, reject) => process.send?.(message, error => (error ? reject(error) : resolve())))
  const main = async () => {
    const [task] = (await once(process, 'message')) as [Task]
    const started = once(process, 'message')
    const run = await prepare(task)
    await send({ ready: true })
    await started
    await send({ result: await run() })
  }
  // Whoever started it is gone: nobody waits for the result.
  const orphaned = () => process.exit(1)
  process.once('disconnect', orphaned)
  main()
    .catch((error: unknown) => send({ failed: error instanceof Error ? `${error.stack}` : String(error) }))
    .finally(() => {
      process.off('disconnect', orphaned)
      process.disconnect()
    })
}

/** What a child says, one message after the other; its death is a failure of whoever waits. */
function mailbox<T>(child: ChildProcess): () => Promise<T | { failed: string }> {
  const kept: (T | { failed: string })[] = []
  let wake = () => {}
  const put = (message: T | { failed: string }) => {
    kept.push(message)
    wake()
  }
  child.on('message', message => put(message as T))
  child.on('error', error => put({ failed: String(error) }))
  child.on('exit', (code, signal) => put({ failed: `a process of the benchmark ended (${signal ?? code})` }))
  return async () => {
    while (kept.length === 0) await new Promise<void>(resolve => (wake = resolve))
    return kept.shift() as T | { failed: string }
  }
}
