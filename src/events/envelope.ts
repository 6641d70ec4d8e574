import { Type } from 'typebox'
import type { EventRow } from '../storage/index.ts'
import type { EventDefinition } from './event.ts'

/** What a receiver gets: the contract's four fields, and what lets it recognise repetitions and gaps. */
export interface Envelope {
  /** Stable: every attempt at every receiver carries the same one. */
  readonly id: string
  /** Per device, from 1. */
  readonly sequence: number
  readonly event_type: string
  readonly device_id: string
  /** RFC 3339, UTC: when it happened, not when it was sent. */
  readonly timestamp: string
  readonly data: Readonly<Record<string, unknown>>
}

export const envelopeOf = (row: EventRow): Envelope => ({
  id: row.eventId,
  sequence: row.sequence,
  event_type: row.type,
  device_id: row.deviceId,
  timestamp: new Date(row.occurredAt).toISOString(),
  data: row.payload,
})

/** Schema of a webhook request's body, for the OpenAPI document. */
export const webhookBodySchema = (definition: EventDefinition) =>
  Type.Object(
    {
      id: Type.String({ format: 'uuid', description: 'The same on every attempt: use it to recognise repetitions' }),
      sequence: Type.Integer({
        minimum: 0,
        description: "Position in the device's event log, from 1; 0 in the test of a webhook of every device",
      }),
      event_type: Type.Literal(definition.name),
      device_id: Type.String({ format: 'uuid' }),
      timestamp: Type.String({ format: 'date-time', description: 'When it happened (UTC)' }),
      attempt: Type.Integer({ minimum: 1, description: 'Attempts at this receiver, this one included' }),
      redelivered: Type.Optional(
        Type.Boolean({ description: 'True when it was given up once and put in line again; else absent' }),
      ),
      data: definition.payload,
    },
    { description: definition.description },
  )

/** An exemplary webhook request body. */
export const webhookBodyExample = (definition: EventDefinition) => ({
  id: '7c0c9f0e-6f0a-4a6e-9a0f-2f6f0b9b1c3d',
  sequence: 42,
  event_type: definition.name,
  device_id: '2d1f3b0c-51f8-4b7e-8f38-7f0e5b8f1a2b',
  timestamp: '2026-11-22T12:00:00.000Z',
  attempt: 1,
  data: definition.example,
})
