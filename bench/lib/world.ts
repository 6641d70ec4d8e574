import type { FlowRequest, FlowResult, LinkedAccount, PrepareRequest } from '../world/questions.ts'
import { type ServerChild, startChild } from './child.ts'

/** The process of the sandbox, as benches use it. */
export interface World extends AsyncDisposable {
  readonly child: ServerChild
  readonly ws: string
  readonly wss: string
  /** Hex. */
  readonly noiseRoot: string
  /** New people, each with one linked device whose connection is still to come. */
  link(count: number, preKeys?: number): Promise<LinkedAccount[]>
  /** New people to write to; with `confirms` their phones send delivery receipts. */
  contacts(count: number, confirms?: boolean): Promise<{ phone: string; lid: string }[]>
  /** A group of an owner and contacts. */
  group(owner: number, members: number): Promise<string>
  /** Messages that arrived at all contacts. */
  received(): Promise<number>
  /** Resolves when so many messages arrived at contacts. */
  untilReceived(count: number): Promise<void>
  prepare(request: PrepareRequest): Promise<number>
  flow(request: FlowRequest): Promise<FlowResult>
  /** Resolves when so many companions are logged in; answers when the last of them was, ms on the monotonic clock. */
  untilActive(count: number, timeoutMs?: number): Promise<number>
  /** Resolves when no companion is connected. */
  untilNoneActive(): Promise<void>
  /** @throws when any client did what WhatsApp would not accept */
  assertNoProblems(): Promise<void>
}

const POLL_MS = 20

export const startWorld = async (): Promise<World> => {
  const child = await startChild(new URL('../world/main.ts', import.meta.url))
  const { ws, wss, noiseRoot } = child.ready as { ws: string; wss: string; noiseRoot: string }
  const until = async (holds: () => Promise<boolean>, timeoutMs: number, what: string) => {
    const deadline = performance.now() + timeoutMs
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`in vain waited for ${what}`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }
  return {
    child,
    ws,
    wss,
    noiseRoot,
    link: (count, preKeys = 12) => child.ask('link', { count, preKeys }),
    contacts: (count, confirms = false) => child.ask('contacts', { count, confirms }),
    group: (owner, members) => child.ask('group', { owner, members }),
    received: () => child.ask('received'),
    untilReceived: (count) =>
      until(async () => (await child.ask<number>('received')) >= count, 20_000, `${count} messages at the contacts`),
    prepare: (request) => child.ask('prepare', request),
    flow: (request) => child.ask('flow', request),
    untilActive: async (count, timeoutMs = 120_000) => {
      let active = { count: 0, lastAt: 0 }
      await until(
        async () => {
          active = await child.ask('active')
          return active.count >= count
        },
        timeoutMs,
        `${count} devices to be connected`,
      )
      return active.lastAt
    },
    untilNoneActive: () =>
      until(async () => (await child.ask<{ count: number }>('active')).count === 0, 60_000, 'all devices to be gone'),
    assertNoProblems: async () => {
      const problems = await child.ask<string[]>('problems')
      if (problems.length > 0) throw new Error(`${problems.length} problems: ${problems.slice(0, 5).join('\n')}`)
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}
