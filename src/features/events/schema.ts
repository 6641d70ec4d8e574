import { Type } from 'typebox'
import { Envelope } from '../envelope.ts'

export const DEFAULT_LIMIT = 100
/** A text may be 64 KB long: some 13 MB at worst. */
const MAX_LIMIT = 200

const Types = Type.String({
  maxLength: 4_000,
  description: 'Event names, `area.*` or `*`, separated by commas; absent = all',
})
const Limit = Type.Integer({
  minimum: 1,
  maximum: MAX_LIMIT,
  description: `How many at most; ${DEFAULT_LIMIT} unless said`,
})
const after = (otherwise: string) =>
  Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: `\`sequence\` of the last event that you know; absent = ${otherwise}`,
    }),
  )

export const EventsQuery = Type.Object({
  after: after('everything that is kept'),
  types: Type.Optional(Types),
  limit: Type.Optional(Limit),
})

export const StreamQuery = Type.Object({
  after: after('what happens from now on'),
  types: Type.Optional(Types),
})

export const AllEventsQuery = Type.Object({
  after: Type.Optional(
    Type.String({ maxLength: 40, description: '`next_after` of an earlier reply; absent = everything that is kept' }),
  ),
  types: Type.Optional(Types),
  limit: Type.Optional(Limit),
})

const More = Type.Boolean({ description: 'True when there may be more already' })

export const EventPage = Type.Object(
  {
    events: Type.Array(Envelope),
    next_after: Type.Integer({
      description: 'Ask on with this as `after`: it has also passed the events that `types` left out',
    }),
    more: More,
  },
  { title: 'EventPage' },
)

export const AllEventsPage = Type.Object(
  {
    events: Type.Array(
      Type.Object(
        { ...Envelope.properties, cursor: Type.String({ description: 'To go on after this very event' }) },
        { title: 'PlacedEvent' },
      ),
    ),
    next_after: Type.String({
      description: 'Ask on with this as `after`: it has also passed the events that `types` left out',
    }),
    more: More,
  },
  { title: 'AllEventsPage' },
)
