import { queryOne, sqlPair, type Work } from './database.ts'

const lock = sqlPair('devices_lock', {
  sqlite: 'select event_sequence from devices where device_id = ?',
  postgres: 'select event_sequence from devices where device_id = ? for no key update',
})

/**
 * Inside a unit: keeps every other writer of this device out until the unit ends (on SQLite nobody else is in anyway).
 * Answers the sequence of its newest event, or undefined when there is no such device.
 */
export function* lockDevice(deviceId: string): Work<number | undefined> {
  return (yield* queryOne<{ event_sequence: number }>(lock, deviceId))?.event_sequence
}
