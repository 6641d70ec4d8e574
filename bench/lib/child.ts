import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A server in a process of its own, whose CPU time can be asked for. */
export interface ServerChild extends AsyncDisposable {
  readonly ready: Readonly<Record<string, unknown>>
  /** User and system CPU since its start, in microseconds. */
  cpu(): Promise<number>
  ask(question: string): Promise<unknown>
}

/** Starts `module`, which must call `serveParent` of `child-side.ts`. */
export const startChild = async (module: URL, args: readonly string[] = []): Promise<ServerChild> => {
  const child = fork(module, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const [ready] = (await answerOf(child)) as [Record<string, unknown>]
  const ask = async (question: string): Promise<unknown> => {
    const answer = answerOf(child)
    child.send(question)
    const [message] = await answer
    return message
  }
  return {
    ready,
    ask,
    cpu: async () => Number(await ask('cpu')),
    [Symbol.asyncDispose]: async () => {
      child.disconnect()
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

const answerOf = async (child: ChildProcess): Promise<unknown[]> => {
  const gone = new AbortController()
  const onExit = () => gone.abort(new Error('the server process ended'))
  child.once('exit', onExit)
  try {
    return await once(child, 'message', { signal: gone.signal })
  } finally {
    child.off('exit', onExit)
  }
}
