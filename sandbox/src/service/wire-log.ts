import { EventLog } from '../phone/event-log.ts'
import { type BinaryNode, child, children } from '../wire/node.ts'

/** A message on a companion's connection, or what confirms one. */
export interface WireEntry {
  readonly seq: number
  /** Milliseconds since 1970. */
  readonly at: number
  /** Address of the companion. */
  readonly device: string
  /** Counts connections: the same device has another one after each login. */
  readonly connection: number
  /** `in`: from the companion; `out`: to it. */
  readonly direction: 'in' | 'out'
  /** `receipt` comes in, `ack` goes either way. */
  readonly tag: 'message' | 'receipt' | 'ack'
  readonly id: string
  /** The other side: recipient, sender or group. */
  readonly peer: string
  readonly type: string | undefined
  /** A message for one device that asked for it again. */
  readonly again: boolean
}

/**
 * What passes over the companions' connections: for whoever compares both ends, or waits for a moment on the wire. Off
 * until somebody asks for it, and then bounded.
 */
export class WireLog {
  readonly #clock: () => number
  #entries: EventLog<WireEntry> | undefined
  #connections = 0

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Starts anew and keeps that many entries; 0 stops it. */
  keep(entries: number): void {
    this.#entries = entries === 0 ? undefined : new EventLog(entries)
  }

  /** Undefined while nothing is kept. */
  get entries(): EventLog<WireEntry> | undefined {
    return this.#entries
  }

  /** The number of a new connection. */
  open(): number {
    this.#connections += 1
    return this.#connections
  }

  record(device: string, connection: number, direction: 'in' | 'out', stanza: BinaryNode): void {
    if (this.#entries === undefined || !concerns(direction, stanza)) return
    const { id = '', to, from, type, participant, device_fanout } = stanza.attrs
    const entry = {
      at: this.#clock(),
      device,
      connection,
      direction,
      tag: stanza.tag as WireEntry['tag'],
      peer: (direction === 'in' ? to : from) ?? '',
      type,
      again:
        stanza.tag === 'message' &&
        (device_fanout === 'false' || (direction === 'in' && participant !== undefined) || hasCount(stanza)),
    }
    for (const one of [id, ...listedIds(stanza)]) this.#entries.add((seq) => ({ ...entry, seq, id: one }))
  }
}

const concerns = (direction: 'in' | 'out', { tag, attrs }: BinaryNode): boolean =>
  tag === 'message' || (tag === 'ack' && attrs.class === 'message') || (tag === 'receipt' && direction === 'in')

/** A receipt may be for several messages. */
const listedIds = (stanza: BinaryNode): string[] =>
  stanza.tag === 'receipt' ? children(child(stanza, 'list'), 'item').map(({ attrs }) => attrs.id ?? '') : []

/** Retries count their attempts in the ciphertext. */
const hasCount = (stanza: BinaryNode): boolean => child(stanza, 'enc')?.attrs.count !== undefined
