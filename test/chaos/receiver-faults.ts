/**
 * What a receiver may do to one request:
 *
 *   cut_before_read  ends the connection before it has read what came: it knows nothing of the event
 *   cut_after_read   reads and keeps the event, and ends the connection without an answer
 *   cut_in_answer    reads and keeps it, and ends the connection in the middle of its answer's body
 *   stalled          reads and keeps it, and says nothing until the sender's patience is over
 *   retry_after      reads it, throws it away, and answers 429 or 503 with Retry-After
 */
export const REQUEST_FAULTS = ['cut_before_read', 'cut_after_read', 'cut_in_answer', 'stalled', 'retry_after'] as const
export type RequestFault = (typeof REQUEST_FAULTS)[number]

/** And for a while: it answers 503 and keeps nothing; it closes its listener and opens it again on the same port. */
export const RECEIVER_FAULTS = [...REQUEST_FAULTS, 'failing', 'reopened'] as const
export type ReceiverFault = (typeof RECEIVER_FAULTS)[number]

/** The gateway gives a delivery up after 10 s: src/webhooks/client.ts. */
const PATIENCE_MS = 10_000
/** One endpoint's faults in a row: each doubles the gateway's wait, and nobody has the time for many of those. */
const MOST_IN_A_ROW = 2
/** Longer than that, and it was the gateway that ended it, not us. */
export const STALL_MS = 15_000

/**
 * Which faults wait for the next requests, and which have verifiably hit: the fault was done to an event, and the same
 * life of the gateway brought the event again.
 */
export class ReceiverFaults {
  readonly hits = Object.fromEntries(RECEIVER_FAULTS.map((fault) => [fault, 0])) as Record<ReceiverFault, number>
  readonly #armed: RequestFault[] = []
  /** By event id. */
  readonly #struck = new Map<string, ReceiverFault>()
  readonly #inARow = new Map<string, number>()
  #reopened = false

  /** The next requests, whatever device they are for, meet with it. */
  arm(fault: RequestFault, times = 1): void {
    for (let n = 0; n < times; n++) this.#armed.push(fault)
  }

  disarm(): void {
    this.#armed.length = 0
  }

  /** What a request for the device meets with. */
  take(device: string): RequestFault | undefined {
    const before = this.#inARow.get(device) ?? 0
    const fault = before < MOST_IN_A_ROW ? this.#armed.shift() : undefined
    this.#inARow.set(device, fault ? before + 1 : 0)
    return fault
  }

  struck(eventId: string, fault: ReceiverFault): void {
    this.#struck.set(eventId, fault)
  }

  /** The sender ended a request that had waited so long for its answer. */
  stalled(eventId: string, ms: number): void {
    if (ms >= PATIENCE_MS - 500) this.struck(eventId, 'stalled')
  }

  reopened(): void {
    this.#reopened = true
  }

  /** A request is there. */
  came(eventId: string): void {
    const fault = this.#struck.get(eventId)
    if (fault) this.hits[fault] += 1
    this.#struck.delete(eventId)
    if (this.#reopened) this.hits.reopened += 1
    this.#reopened = false
  }

  /** What comes again from now on comes because the gateway was killed. */
  nextLife(): void {
    this.#struck.clear()
    this.#inARow.clear()
    this.#reopened = false
  }
}
