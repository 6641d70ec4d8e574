import { type ServerChild, startChild } from './child.ts'

/** A webhook receiver in a process of its own, which does nothing but answer 200 and remember when. */
export interface ReceiverProcess extends AsyncDisposable {
  readonly child: ServerChild
  readonly url: string
  /** Refuses connections. */
  readonly deadUrl: string
  /** Requests so far. */
  count(): Promise<number>
  /** Message id and when its request had arrived whole, ms on the machine's monotonic clock. */
  arrivals(): Promise<readonly (readonly [string, number])[]>
  /** When the first and the last request arrived. */
  span(): Promise<{ readonly first: number; readonly last: number }>
  forget(): Promise<void>
}

export const startReceiverProcess = async (): Promise<ReceiverProcess> => {
  const child = await startChild(new URL('../webhook/receiver.ts', import.meta.url))
  const { port, deadPort } = child.ready as { port: number; deadPort: number }
  return {
    child,
    url: `http://127.0.0.1:${port}/`,
    deadUrl: `http://127.0.0.1:${deadPort}/`,
    count: () => child.ask('count'),
    arrivals: () => child.ask('arrivals'),
    span: () => child.ask('span'),
    forget: async () => void (await child.ask('forget')),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}
