// What passes over the companions' connections.
import { ApiError } from './api-error.ts'
import type { Context } from './context.ts'
import type { Route } from './router.ts'
import { listOf, OK, reply } from './views.ts'

const MAX_ENTRIES = 1_000_000
const MAX_WAIT_MS = 60_000

export function makeWireRoutes({ service }: Context): Route[] {
  const text = { type: 'string' } as const
  return [
    {
      method: 'POST',
      path: '/sandbox/wire',
      tag: 'observing',
      summary: "Keep a log of the messages on companions' connections and of what confirms them",
      body: {
        type: 'object',
        properties: {
          keep: {
            type: 'integer',
            minimum: 0,
            maximum: MAX_ENTRIES,
            description: 'entries, the newest; 0 stops the log. It starts anew either way',
          },
        },
        required: ['keep'],
      },
      reply: OK,
      handle: ({ body }) => {
        service.wire.keep(body.keep as number)
        return { ok: true }
      },
    },
    {
      method: 'GET',
      path: '/sandbox/wire',
      tag: 'observing',
      summary: 'Read that log, oldest first',
      query: {
        after: { type: 'integer', minimum: 0, description: 'only what is newer than this seq' },
        wait_ms: {
          type: 'integer',
          minimum: 0,
          maximum: MAX_WAIT_MS,
          description: 'how long to wait for something when there is nothing',
        },
      },
      reply: reply({
        entries: listOf(
          reply({
            seq: { type: 'integer' },
            at: { type: 'integer', description: 'milliseconds since 1970' },
            device: { ...text, description: 'address of the companion' },
            connection: { type: 'integer', description: 'another one after each login' },
            direction: { ...text, enum: ['in', 'out'], description: 'in: from the companion' },
            tag: { ...text, enum: ['message', 'receipt', 'ack'] },
            id: text,
            peer: { ...text, description: 'recipient, sender or group' },
            type: { ...text, nullable: true },
            again: { type: 'boolean', description: 'for one device that asked for the message again' },
          }),
        ),
      }),
      refusals: { 409: ['not_kept'] },
      handle: async ({ query, signal }) => {
        const log = service.wire.entries
        if (log === undefined) throw new ApiError(409, 'not_kept', 'no such log is kept: POST /sandbox/wire starts it')
        const wait = Number(query.wait_ms ?? 0)
        const end = wait === 0 ? AbortSignal.abort() : AbortSignal.any([signal, AbortSignal.timeout(wait)])
        const entries = await log.wait(Number(query.after ?? 0), () => true, end)
        return { entries: entries.map((entry) => ({ ...entry, type: entry.type ?? null })) }
      },
    },
  ]
}
