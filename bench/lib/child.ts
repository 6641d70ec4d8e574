import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { once } from 'node:events'

/** A process of its own, whose CPU time and memory can be asked for. */
export interface ServerChild extends AsyncDisposable {
  readonly pid: number
  readonly ready: Readonly<Record<string, unknown>>
  /** User and system CPU since its start, in microseconds. */
  cpu(): Promise<number>
  /** Answered one after the other. @throws what the other side threw */
  ask<T = unknown>(question: string, argument?: unknown): Promise<T>
}

/** What goes over the channel; `child-side.ts` and `probe.mjs` speak the same. */
export interface Question {
  readonly question: string
  readonly argument: unknown
}
export type Answer = { readonly value: unknown } | { readonly error: string }

/** Starts `module`, which must call `serveParent` of `child-side.ts`. */
export const startChild = async (
  module: URL,
  args: readonly string[] = [],
  options: ForkOptions = {},
): Promise<ServerChild> => {
  const child = fork(module, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], ...ADVANCED, ...options })
  return attach(child, (await answerOf(child)) as Record<string, unknown>)
}

/** Bytes stay bytes. */
export const ADVANCED = { serialization: 'advanced' } as const

/** The parent's side of a process that answers questions. Disposing it closes the channel, at which it ends. */
export const attach = (child: ChildProcess, ready: Readonly<Record<string, unknown>>): ServerChild => {
  let tail: Promise<unknown> = Promise.resolve()
  const ask = <T>(question: string, argument?: unknown): Promise<T> => {
    const asked = tail.then(() => {
      const answer = answerOf(child)
      child.send({ question, argument } satisfies Question)
      return answer
    })
    tail = asked.catch(() => undefined)
    return asked as Promise<T>
  }
  return {
    pid: child.pid!,
    ready,
    ask,
    cpu: () => ask<number>('cpu'),
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

const answerOf = async (child: ChildProcess): Promise<unknown> => {
  const gone = new AbortController()
  const onExit = () => gone.abort(new Error('the process ended'))
  child.once('exit', onExit)
  try {
    const [answer] = (await once(child, 'message', { signal: gone.signal })) as [Answer]
    if ('error' in answer) throw new Error(answer.error)
    return answer.value
  } finally {
    child.off('exit', onExit)
  }
}
