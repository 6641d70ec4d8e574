import { newUuid } from '../kernel/ids.ts'
import type { EventRepository, EventRow, NewEvent } from '../storage/index.ts'
import type { EventDraft } from './draft.ts'
import { faultsOfPayload } from './validate.ts'

/** Who wants which event. `webhooks/subscriptions.ts` knows. */
export interface Receivers {
  webhookIdsFor(deviceId: string, type: string): readonly number[]
}

/** Is told that deliveries were committed. `webhooks/dispatcher.ts` listens. */
export interface Waker {
  wake(webhookIds: Iterable<number>): void
}

/** Is told that events of a device were committed. `feed.ts` tells the readers of its log. */
export interface Announcer {
  announce(deviceId: string): void
}

interface Dependencies {
  readonly log: Pick<EventRepository, 'append' | 'appendToAll'>
  readonly receivers: Receivers
  readonly waker: Waker
  readonly feed: Announcer
  /** Throws on a payload that misses its schema. Costs a validation per event; production goes without. */
  readonly validate?: boolean
}

/** Puts events into the log, with a delivery for each webhook that wants them, and wakes the dispatcher. */
export class Events {
  readonly #log: Pick<EventRepository, 'append' | 'appendToAll'>
  readonly #receivers: Receivers
  readonly #waker: Waker
  readonly #feed: Announcer
  readonly #validate: boolean

  constructor({ log, receivers, waker, feed, validate = false }: Dependencies) {
    this.#log = log
    this.#receivers = receivers
    this.#waker = waker
    this.#feed = feed
    this.#validate = validate
  }

  webhookIdsFor(deviceId: string, type: string): readonly number[] {
    return this.#receivers.webhookIdsFor(deviceId, type)
  }

  /** Gives drafts their ids and receivers, ready to be committed by whoever holds the transaction. */
  prepare(deviceId: string, drafts: readonly EventDraft[]): readonly NewEvent[] {
    return drafts.map((draft) => this.#prepareOne(deviceId, draft))
  }

  /**
   * Appends in order; resolves when durable. `onlyTo` replaces the subscriptions by one webhook.
   * Answers the rows that are new.
   */
  async append(
    deviceId: string,
    drafts: readonly EventDraft[],
    onlyTo?: { readonly webhookId: number },
  ): Promise<readonly EventRow[]> {
    if (drafts.length === 0) return []
    const events = this.prepare(deviceId, drafts).map((event) =>
      onlyTo ? { ...event, webhookIds: [onlyTo.webhookId] } : event,
    )
    const rows = await this.#log.append(deviceId, events)
    this.committed(deviceId, events)
    return rows
  }

  /** Appends what belongs to no device: the operator reads it in the log of all devices. @throws storage_unavailable */
  async appendToAll(drafts: readonly EventDraft[]): Promise<void> {
    await this.#log.appendToAll(drafts.map((draft) => ({ ...this.#identify(draft), webhookIds: [] })))
  }

  /** Tells those who wait for them about events that are durable. */
  committed(deviceId: string, events: readonly NewEvent[]): void {
    if (events.length === 0) return
    this.#feed.announce(deviceId)
    const webhookIds = new Set(events.flatMap((event) => event.webhookIds))
    if (webhookIds.size > 0) this.#waker.wake(webhookIds)
  }

  #prepareOne(deviceId: string, draft: EventDraft): NewEvent {
    return { ...this.#identify(draft), webhookIds: this.webhookIdsFor(deviceId, draft.type) }
  }

  #identify(draft: EventDraft): Omit<NewEvent, 'webhookIds'> {
    if (this.#validate) {
      const faults = faultsOfPayload(draft.type, draft.payload)
      if (faults.length > 0) throw new Error(`event ${draft.type}: ${faults.join('; ')}`)
    }
    return { ...draft, eventId: newUuid() }
  }
}
