export interface NewEvent {
  /** Stable id, UUIDv4, chosen by the emitter. */
  readonly eventId: string
  /** Catalogue name, `message.received`. */
  readonly type: string
  /** Deliveries with the same key go out one after another; undefined = the device as a whole. */
  readonly orderKey: string | undefined
  /** The payload (`data`), already validated; stored as JSON. */
  readonly payload: Readonly<Record<string, unknown>>
  readonly occurredAt: number
  /** When set, a second event of the device with the same key is dropped. */
  readonly dedupeKey?: string
  /** Ids of the webhooks that want it; those gone meanwhile are skipped. */
  readonly webhookIds: readonly number[]
}

export interface EventRow {
  readonly deviceId: string
  /** Per device, from 1, without holes in what readers see. */
  readonly sequence: number
  readonly eventId: string
  readonly type: string
  readonly orderKey: string | undefined
  readonly payload: Readonly<Record<string, unknown>>
  readonly occurredAt: number
}

/**
 * A place in the log of all devices: events are ordered by `position`, those of one commit by `sequence`. No event ever
 * appears before a place that could be read already.
 */
export interface LogPosition {
  readonly position: number
  readonly sequence: number
}

export interface PlacedEvent extends EventRow {
  readonly position: number
}

/** The append-only log; appending also writes the delivery rows, in the same transaction. */
export interface EventRepository {
  append(deviceId: string, events: readonly NewEvent[]): Promise<readonly EventRow[]>
  /**
   * What belongs to no device: the log of all devices has it, under the nil UUID and with a sequence of its own. No
   * webhook gets it.
   */
  appendToAll(events: readonly NewEvent[]): Promise<readonly EventRow[]>
  /** In order of sequence, `sequence > after`. */
  read(deviceId: string, after: number, limit: number): Promise<readonly EventRow[]>
  /** Of all devices and of none, in order of position, after that place. */
  readAll(after: LogPosition, limit: number): Promise<readonly PlacedEvent[]>
  lastSequence(deviceId: string): Promise<number>
  /**
   * `floor`: the newest event that retention has let go of (0 = none), so that everything after it is still there;
   * `newest`: the last one given out. Undefined when there is no such device.
   */
  bounds(deviceId: string): Promise<{ readonly floor: number; readonly newest: number } | undefined>
  /** The same for the log of all devices; `newest` is a position that nothing readable is beyond. */
  boundsOfAll(): Promise<{ readonly floor: LogPosition; readonly newest: number }>
  /** Deletes events older than this that no open delivery needs. Answers how many went. */
  prune(before: number): Promise<number>
}
