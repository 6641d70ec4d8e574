import type { BinaryNode } from '../wire/node.ts'

interface Entry {
  readonly stanza: BinaryNode
  readonly sequence: number
}

/**
 * The stanzas a device has not confirmed yet, in order. A stanza stays here from the moment it is routed until the
 * client's receipt or ack for it; each new connection gets the same stanzas again, unchanged but for `offline`.
 */
export class OfflineQueue {
  readonly #entries = new Map<number, Entry>()
  /** By stanza class and id: ids are the senders' own, so several senders may use the same one. */
  readonly #byId = new Map<string, number[]>()
  #sequence = 0

  get size(): number {
    return this.#entries.size
  }

  add(stanza: BinaryNode): void {
    this.#sequence += 1
    const sequence = this.#sequence
    this.#entries.set(sequence, { stanza, sequence })
    const key = keyOf(stanza.tag, stanza.attrs.id)
    const known = this.#byId.get(key)
    if (known === undefined) this.#byId.set(key, [sequence])
    else known.push(sequence)
  }

  /** Takes off what a receipt or an ack confirms. `isSender` decides between senders that used the same id. */
  settle(tag: string, id: string, isSender: (stanza: BinaryNode) => boolean): number {
    const key = keyOf(tag, id)
    const sequences = this.#byId.get(key)
    if (sequences === undefined) return 0
    const left = sequences.filter((sequence) => !isSender(this.#entries.get(sequence)!.stanza))
    for (const sequence of sequences) if (!left.includes(sequence)) this.#entries.delete(sequence)
    if (left.length === 0) this.#byId.delete(key)
    else this.#byId.set(key, left)
    return sequences.length - left.length
  }

  /** Everything still unconfirmed, oldest first. */
  list(): readonly BinaryNode[] {
    return Array.from(this.#entries.values(), (entry) => entry.stanza)
  }

  clear(): void {
    this.#entries.clear()
    this.#byId.clear()
  }
}

const keyOf = (tag: string, id: string | undefined): string => `${tag}/${id ?? ''}`
