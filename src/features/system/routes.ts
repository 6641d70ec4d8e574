import { Type } from 'typebox'
import { ok, type Route, route } from '../../http/route.ts'
import type { Clock } from '../../kernel/clock.ts'
import { showUptime } from '../uptime.ts'

export interface SystemDeps {
  readonly version: string
  readonly clock: Pick<Clock, 'now'>
  /** When the process started, ms since the epoch. */
  readonly startedAt: number
}

const Index = Type.Object({ version: Type.String(), uptime: Type.String() })

export const systemRoutes = (deps: SystemDeps): Route[] => [
  route({
    id: 'getIndex',
    method: 'GET',
    path: '/',
    auth: 'none',
    tag: 'System',
    summary: 'Liveness message',
    description: 'Answers as soon as the server listens, before any device is connected.',
    data: Index,
    success: { example: { version: '1.0.0', uptime: '2h 5m 9s' } },
    errors: [],
    handler: () =>
      ok('Parley is running', { version: deps.version, uptime: showUptime(deps.clock.now() - deps.startedAt) }),
  }),
]
