import { Type } from 'typebox'
import { DeviceId, Time } from './common.ts'

/** An event as every transport but a webhook gives it; a webhook's request adds the attempt. */
export const Envelope = Type.Object(
  {
    id: Type.String({ format: 'uuid', description: 'Stable: use it to recognise repetitions' }),
    sequence: Type.Integer({ minimum: 1, description: "Position in the device's event log" }),
    event_type: Type.String({ description: 'A name from the catalogue' }),
    device_id: DeviceId,
    timestamp: Time,
    data: Type.Record(Type.String(), Type.Unknown(), { description: 'Differs by event; see the catalogue' }),
  },
  { title: 'Event' },
)
