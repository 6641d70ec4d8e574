/** Counters since the start, plus gauges. Cheap enough to bump on every stanza of thousands of connections. */
export class Metrics {
  readonly #clock: () => number
  #second = 0
  #messagesThisSecond = 0
  #messagesLastSecond = 0

  /** Sockets open now. */
  connections = 0
  connectionsTotal = 0
  logins = 0
  registrations = 0
  linked = 0
  stanzasIn = 0
  stanzasOut = 0
  bytesIn = 0
  bytesOut = 0
  /** `<message>` stanzas accepted from senders. */
  messages = 0
  /** Copies of messages put into the queues of devices. */
  deliveries = 0
  receipts = 0
  preKeysConsumed = 0
  /** Queries that ask which numbers have accounts. */
  numberQueries = 0

  constructor(clock: () => number) {
    this.#clock = clock
  }

  countMessage(): void {
    this.#turn()
    this.messages += 1
    this.#messagesThisSecond += 1
  }

  /** All values by name; `messagesPerSecond` is that of the last whole second. */
  snapshot(): Readonly<Record<string, number>> {
    this.#turn()
    const { connections, connectionsTotal, logins, registrations, linked, stanzasIn, stanzasOut } = this
    const { bytesIn, bytesOut, messages, deliveries, receipts, preKeysConsumed, numberQueries } = this
    return {
      connections,
      connectionsTotal,
      logins,
      registrations,
      linked,
      stanzasIn,
      stanzasOut,
      bytesIn,
      bytesOut,
      messages,
      deliveries,
      receipts,
      preKeysConsumed,
      numberQueries,
      messagesPerSecond: this.#messagesLastSecond,
    }
  }

  #turn(): void {
    const second = Math.floor(this.#clock() / 1000)
    if (second === this.#second) return
    this.#messagesLastSecond = second === this.#second + 1 ? this.#messagesThisSecond : 0
    this.#messagesThisSecond = 0
    this.#second = second
  }
}
