import { isSubscribable } from '../../events/catalogue.ts'
import { envelopeOf } from '../../events/envelope.ts'
import { type EventLog, positionOf, textOfPosition } from '../../events/log.ts'
import {
  type LiveKind,
  type LiveReply,
  liveRoute,
  ok,
  type Route,
  type RouteError,
  route,
  STORAGE_AWAY,
} from '../../http/route.ts'
import { ParleyError } from '../../kernel/errors.ts'
import type { EventRow } from '../../storage/index.ts'
import { AllEventsPage, AllEventsQuery, DEFAULT_LIMIT, EventPage, EventsQuery, StreamQuery } from './schema.ts'

export interface EventDeps {
  readonly eventLog: EventLog
}

const TAG = 'Events'

const TOO_OLD: RouteError = {
  code: 'gone',
  when: 'events after the cursor are not kept any more (EVENT_RETENTION); `data.oldest` is the oldest cursor there is',
}
const STREAM_ERRORS: readonly RouteError[] = [
  TOO_OLD,
  { code: 'rate_limited', when: 'the device has 10 such connections already' },
  STORAGE_AWAY,
]

const EXAMPLE = {
  id: '7c0c9f0e-6f0a-4a6e-9a0f-2f6f0b9b1c3d',
  sequence: 42,
  event_type: 'connection.connected',
  device_id: '2d1f3b0c-51f8-4b7e-8f38-7f0e5b8f1a2b',
  timestamp: '2026-11-22T09:00:00.000Z',
  data: { jid: '6289876543210', phone_number: '6289876543210', is_logged_in: true, is_connected: true },
}

/** @throws bad_request naming `types` */
const patternsOf = (text: string | undefined): readonly string[] => {
  if (text === undefined || text.trim() === '') return []
  const patterns = text.split(',').map((pattern) => pattern.trim())
  for (const pattern of patterns)
    if (!isSubscribable(pattern))
      throw new ParleyError('bad_request', `types: "${pattern}" is no event, \`area.*\` or \`*\``, { field: 'types' })
  return patterns
}

/** What a browser's EventSource says when it comes back; it repeats the old URL, so this counts more. */
const lastEventId = (header: string | undefined): number | undefined => {
  if (header === undefined || header === '') return undefined
  if (/^\d{1,15}$/.test(header)) return Number(header)
  throw new ParleyError('bad_request', 'Last-Event-ID: must be the id of an event of this stream', {
    field: 'Last-Event-ID',
  })
}

const showItem = (row: EventRow) => ({
  id: String(row.sequence),
  event: row.type,
  data: JSON.stringify(envelopeOf(row)),
})

export const eventRoutes = ({ eventLog }: EventDeps): Route[] => {
  const follow = async (deviceId: string, after: number | undefined, types: string | undefined): Promise<LiveReply> => {
    const source = await eventLog.follow(deviceId, { after, types: patternsOf(types) })
    return {
      live: async function* (signal) {
        for await (const rows of source(signal)) yield rows.map(showItem)
      },
    }
  }
  const streaming = { auth: 'jwt', tag: TAG, query: StreamQuery, errors: STREAM_ERRORS } as const

  return [
    route({
      id: 'listEvents',
      auth: 'jwt',
      tag: TAG,
      method: 'GET',
      path: '/events',
      summary: "The device's event log",
      description:
        'In the order of `sequence`. Whoever asks again with `next_after` misses nothing and sees nothing twice, however long it was away, within EVENT_RETENTION.',
      query: EventsQuery,
      data: EventPage,
      success: { example: { events: [EXAMPLE], next_after: 42, more: false } },
      errors: [TOO_OLD, STORAGE_AWAY],
      handler: async ({ auth, query }) => {
        const page = await eventLog.read(auth.device.deviceId, {
          after: query.after,
          types: patternsOf(query.types),
          limit: query.limit ?? DEFAULT_LIMIT,
        })
        return ok('Events', { events: page.events.map(envelopeOf), next_after: page.next, more: page.more })
      },
    }),
    liveRoute({
      ...streaming,
      id: 'streamEvents',
      path: '/events/stream',
      live: 'event-stream' satisfies LiveKind,
      summary: "The device's events as they happen",
      description:
        'Server-sent events: `id` is the sequence, `event` the name, `data` the envelope as JSON. `Last-Event-ID` (as a browser sends it when it comes back) or `after` says where to go on; without either the stream begins now. A reader that takes nothing for 20 s is dropped.',
      handler: ({ auth, query, request }) =>
        follow(auth.device.deviceId, lastEventId(request.header('last-event-id')) ?? query.after, query.types),
    }),
    liveRoute({
      ...streaming,
      id: 'followEvents',
      path: '/events/ws',
      live: 'websocket' satisfies LiveKind,
      summary: "The device's events over a WebSocket",
      description:
        'One text message per event: the envelope as JSON. `after` says where to go on; without it the stream begins now. What is sent to the gateway is ignored. A reader that takes nothing for 20 s is dropped.',
      errors: [...STREAM_ERRORS, { code: 'upgrade_required', when: 'the request does not ask for a WebSocket' }],
      handler: ({ auth, query }) => follow(auth.device.deviceId, query.after, query.types),
    }),
    route({
      id: 'listAllEvents',
      auth: 'admin',
      tag: 'Admin Dashboard',
      method: 'GET',
      path: '/admin/events',
      summary: 'The event logs of all devices, as one',
      description:
        'In an order that every event takes once and for good, so that `next_after` misses nothing that is committed late. Events of one device come in the order of their `sequence`.',
      query: AllEventsQuery,
      data: AllEventsPage,
      success: { example: { events: [{ ...EXAMPLE, cursor: '1042.42' }], next_after: '1042.42', more: false } },
      errors: [TOO_OLD, STORAGE_AWAY],
      handler: async ({ query }) => {
        const page = await eventLog.readAll({
          after: query.after === undefined ? undefined : positionOf(query.after, 'after'),
          types: patternsOf(query.types),
          limit: query.limit ?? DEFAULT_LIMIT,
        })
        return ok('Events', {
          events: page.events.map((row) => ({ ...envelopeOf(row), cursor: textOfPosition(row) })),
          next_after: textOfPosition(page.next),
          more: page.more,
        })
      },
    }),
  ]
}
