// What was delivered, over all connections of an installation: nothing twice once confirmed, and again only unchanged.
import { encode, type Stanza } from './stanza.ts'
import { demand } from './violation.ts'

interface Delivery {
  readonly bytes: Buffer
  confirmed: boolean
}

export class Deliveries {
  readonly #known = new Map<string, Delivery>()
  /** Stanzas that came again although they were confirmed, or outside of the replay after a login. */
  readonly repeated: Stanza[] = []
  /** Stanzas that came again in the replay after a login. */
  readonly replayed: Stanza[] = []

  /** Notes an incoming stanza. @returns whether it is the first time @throws Violation when it was changed */
  note(stanza: Stanza): boolean {
    const key = keyOf(stanza)
    if (key === undefined) return true
    const { offline, ...attrs } = stanza.attrs
    const bytes = encode({ ...stanza, attrs })
    const known = this.#known.get(key)
    if (known === undefined) {
      this.#known.set(key, { bytes, confirmed: false })
      return true
    }
    demand(known.bytes.equals(bytes), 'stanza', `another <${stanza.tag}> of id ${attrs.id} from ${attrs.from}`)
    if (known.confirmed || offline === undefined) this.repeated.push(stanza)
    else this.replayed.push(stanza)
    return false
  }

  confirm(stanza: Stanza): void {
    const known = this.#known.get(keyOf(stanza) ?? '')
    if (known !== undefined) known.confirmed = true
  }
}

/** Receipts carry the id of the message they are about, as often as there are readers. */
function keyOf(stanza: Stanza): string | undefined {
  if (stanza.tag !== 'message' && stanza.tag !== 'notification') return undefined
  const { id, from, participant = '' } = stanza.attrs
  const again = Array.isArray(stanza.content) && stanza.content.find(({ attrs }) => attrs.count !== undefined)
  return [stanza.tag, id, from, participant, again ? again.attrs.count : ''].join(' ')
}
