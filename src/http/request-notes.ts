import type { AuthKind, AuthOf, Route } from './route.ts'

/** What the glue keeps of a request from its start to its log line. */
export interface RequestNotes {
  /** `performance.now()` at the start. */
  readonly startedAt: number
  route: Route | undefined
  auth: AuthOf[AuthKind] | undefined
  deviceId: string | undefined
  /** The body came as a form, so its strings may stand for numbers and booleans. */
  isForm: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    notes: RequestNotes
  }
}

export const newNotes = (): RequestNotes => ({
  startedAt: performance.now(),
  route: undefined,
  auth: undefined,
  deviceId: undefined,
  isForm: false,
})
