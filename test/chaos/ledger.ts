/** Whoever says something: a gateway device over HTTP, or a person on their phone. */
export interface Lane {
  readonly name: string
  readonly chat: Chat
  readonly by: 'api' | 'phone'
  /** The device's or the phone's name. */
  readonly sender: string
}

export interface Chat {
  readonly name: string
  /** Names of the people in it, the one who writes included. */
  readonly members: readonly string[]
}

/** A text that was said, and what its sender knows of it. */
export interface Said {
  readonly lane: Lane
  readonly number: number
  readonly text: string
  /** `unknown`: the connection broke before there was an answer. `refused`: the answer was no. */
  fate: 'open' | 'accepted' | 'unknown' | 'refused'
  messageId: string | undefined
  /** The answer's status, when it was no. */
  code: number | undefined
}

/** A text that arrived: decrypted on a phone, or as an event at the webhook receiver. In the order of first arrival. */
export interface Arrival {
  readonly text: string
  readonly messageId: string
  /** Phones: the message id; devices: the id of the event. */
  readonly identity: string
  readonly chat: string
}

/** Both sides of the account. */
export class Ledger {
  readonly said = new Map<string, Said>()
  /** By phone name: first arrival per message id. */
  readonly onPhones = new Map<string, Arrival[]>()
  /** By device name: first arrival per event id. */
  readonly onDevices = new Map<string, Arrival[]>()
  readonly #lastNumber = new Map<string, number>()

  say(lane: Lane): Said {
    const number = (this.#lastNumber.get(lane.name) ?? 0) + 1
    this.#lastNumber.set(lane.name, number)
    const text = `${lane.name} ${number}`
    const said: Said = { lane, number, text, fate: 'open', messageId: undefined, code: undefined }
    this.said.set(text, said)
    return said
  }

  /** It never left the caller: the number is free again. */
  takeBack(said: Said): void {
    this.said.delete(said.text)
    this.#lastNumber.set(said.lane.name, said.number - 1)
  }

  arrive(where: Map<string, Arrival[]>, name: string, arrival: Arrival): void {
    const list = where.get(name) ?? []
    where.set(name, list)
    list.push(arrival)
  }
}
