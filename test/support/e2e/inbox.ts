import assert from 'node:assert/strict'
import { isSignedBy, type ReceivedEvent, type Receiver, startReceiver } from '../../../scripts/lib/receiver.ts'
import { faultsOfPayload } from '../../../src/events/validate.ts'
import { keepExample } from './examples.ts'
import { recordEvent } from './recording.ts'
import { until } from './until.ts'

export type WebhookEvent = ReceivedEvent['event']

/** What fits: fields of the payload with their values, or a function. */
export type Fits = Readonly<Record<string, unknown>> | ((event: WebhookEvent) => boolean)

/** A webhook receiver; every event is held against its schema, and recorded. */
export class WebhookInbox implements AsyncDisposable {
  readonly receiver: Receiver
  readonly #faults: string[]

  private constructor(receiver: Receiver, faults: string[]) {
    this.receiver = receiver
    this.#faults = faults
  }

  static async open(): Promise<WebhookInbox> {
    const faults: string[] = []
    const receiver = await startReceiver(({ event }) => {
      recordEvent(event.event_type)
      keepExample(event)
      faults.push(...faultsOfPayload(event.event_type, event.data).map((fault) => `${event.event_type}: ${fault}`))
    })
    return new WebhookInbox(receiver, faults)
  }

  get url(): string {
    return this.receiver.url
  }

  /** What came for a device, repetitions left out, in the order of its log. */
  of(deviceId: string, type?: string): readonly WebhookEvent[] {
    const events = new Map<string, WebhookEvent>()
    for (const { event } of this.receiver.received)
      if (event.device_id === deviceId && (type === undefined || event.event_type === type)) events.set(event.id, event)
    return [...events.values()].toSorted((a, b) => a.sequence - b.sequence)
  }

  /** The first such event of the device, already here or still to come. */
  async next(deviceId: string, type: string, fits: Fits = {}, timeoutMs = 15_000): Promise<WebhookEvent> {
    try {
      return await until(
        `${type} ${typeof fits === 'function' ? 'that fits' : JSON.stringify(fits)}`,
        () => this.of(deviceId, type).find((event) => doesFit(event, fits)),
        timeoutMs,
      )
    } catch (error) {
      const came = this.of(deviceId).map(
        ({ event_type, data }) => `${event_type} ${JSON.stringify(data).slice(0, 300)}`,
      )
      throw new Error(`${(error as Error).message}; what came:\n${came.slice(-20).join('\n')}`)
    }
  }

  /** The request as it came, for its headers. */
  request(eventId: string): ReceivedEvent {
    const found = this.receiver.received.find(({ event }) => event.id === eventId)
    assert.ok(found, `no request ${eventId}`)
    return found
  }

  isSigned(eventId: string, secret: string): boolean {
    return isSignedBy(secret, this.request(eventId))
  }

  assertSchemas(): void {
    assert.deepEqual(this.#faults, [], 'events that miss their schema')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.receiver[Symbol.asyncDispose]()
  }
}

const doesFit = (event: WebhookEvent, fits: Fits): boolean =>
  typeof fits === 'function' ? fits(event) : Object.entries(fits).every(([field, value]) => event.data[field] === value)
