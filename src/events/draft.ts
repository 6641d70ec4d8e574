import type { EventDefinition, PayloadOf } from './event.ts'

/** An event before it has an id, a sequence and receivers. */
export interface EventDraft {
  readonly type: string
  readonly payload: Readonly<Record<string, unknown>>
  /** Deliveries with the same key go out one after another: the conversation; undefined = the device as a whole. */
  readonly orderKey: string | undefined
  /** Milliseconds since the epoch. */
  readonly occurredAt: number
  /** A second event of the device with the same key is dropped. */
  readonly dedupeKey?: string
}

/** A draft whose payload fits its definition, by type. */
export const draft = <D extends EventDefinition>(
  definition: D,
  payload: PayloadOf<D>,
  more: { readonly occurredAt: number; readonly orderKey?: string; readonly dedupeKey?: string },
): EventDraft => ({
  type: definition.name,
  payload: payload as Readonly<Record<string, unknown>>,
  orderKey: more.orderKey,
  occurredAt: more.occurredAt,
  ...(more.dedupeKey === undefined ? {} : { dedupeKey: more.dedupeKey }),
})
