import type { Static, TObject } from 'typebox'

/** The names of `webhook-events.json`, in its order of areas; the documentation groups by them. */
export type EventCategory =
  | 'Messages'
  | 'Connection'
  | 'Calls'
  | 'Groups'
  | 'Newsletter'
  | 'Polls'
  | 'Status'
  | 'Media'
  | 'Contact'
  | 'App State'
  | 'History'
  | 'Presence and Profile'
  | 'Chat and Label State'
  | 'Webhooks'
  | 'Test'

/** What is sent under one name. The envelope around the payload is the same for all (`webhooks/envelope.ts`). */
export interface EventDefinition<P extends TObject = TObject> {
  /** `area.what_happened`; receivers subscribe to it. */
  readonly name: string
  readonly category: EventCategory
  /** When it fires. */
  readonly description: string
  /** Schema of `data`. Receivers must ignore fields they do not know: fields are added, never changed. */
  readonly payload: P
  readonly example: Static<P>
}

export type PayloadOf<D extends EventDefinition> = Static<D['payload']>

/** Declares an event. */
export const event = <P extends TObject>(definition: EventDefinition<P>): EventDefinition<P> => definition
