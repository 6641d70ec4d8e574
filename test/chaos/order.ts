import { isConfirmation } from './campaign.ts'
import type { Arrival } from './ledger.ts'
import type { WireEntry } from './sandbox-feeds.ts'

/** How far behind a text is looked for one that should have come before it. */
const REACH = 300

/**
 * Texts of one lane that arrived before an earlier one of the same lane, at one phone. Numbers rise by one text after
 * the other; gaps are texts that were refused or cut off.
 */
export const countLaneInversions = (arrivals: readonly Arrival[]): string[] => {
  const highest = new Map<string, number>()
  const found: string[] = []
  for (const { text } of arrivals) {
    const { lane, number } = readText(text)
    const before = highest.get(lane) ?? 0
    if (number < before) found.push(`"${text}" came after number ${before}`)
    else highest.set(lane, number)
  }
  return found
}

/**
 * Events of one chat that came in another order than the service delivered their messages. The service may reorder
 * (that is one of the faults): a later message may only overtake an earlier one when some connection brought it first
 * while the earlier one was still unconfirmed.
 */
export const countEventInversions = (arrivals: readonly Arrival[], wire: readonly WireEntry[]): string[] => {
  const deliveries = new Deliveries(wire)
  const found: string[] = []
  for (const chat of Map.groupBy(arrivals, (arrival) => arrival.chat).values())
    for (const [at, first] of chat.entries())
      for (const second of chat.slice(at + 1, at + REACH))
        if (!deliveries.mayPrecede(first.messageId, second.messageId))
          found.push(`"${first.text}" came before "${second.text}"`)
  return found
}

/** When each message was on one device's connections, and when the device first confirmed it. */
class Deliveries {
  /** By message id: the connection and the place of each first delivery on a connection. */
  readonly #places = new Map<string, Map<number, number>>()
  readonly #confirmedAt = new Map<string, number>()
  readonly #connectionStart = new Map<number, number>()

  constructor(wire: readonly WireEntry[]) {
    for (const entry of wire) {
      if (!this.#connectionStart.has(entry.connection)) this.#connectionStart.set(entry.connection, entry.seq)
      if (entry.direction === 'out' && entry.tag === 'message') {
        const places = this.#places.get(entry.id) ?? new Map<number, number>()
        this.#places.set(entry.id, places)
        if (!places.has(entry.connection)) places.set(entry.connection, entry.seq)
      }
      if (isConfirmation(entry) && !this.#confirmedAt.has(entry.id)) this.#confirmedAt.set(entry.id, entry.seq)
    }
  }

  mayPrecede(one: string, other: string): boolean {
    const ofOther = this.#places.get(other) ?? new Map<number, number>()
    const confirmed = this.#confirmedAt.get(other) ?? Number.POSITIVE_INFINITY
    for (const [connection, place] of this.#places.get(one) ?? []) {
      const otherPlace = ofOther.get(connection) ?? Number.POSITIVE_INFINITY
      if (place < otherPlace && place < confirmed) return true
    }
    return false
  }
}

const readText = (text: string): { lane: string; number: number } => {
  const space = text.lastIndexOf(' ')
  return { lane: text.slice(0, space), number: Number(text.slice(space + 1)) }
}
