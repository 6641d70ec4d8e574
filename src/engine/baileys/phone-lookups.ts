import { type BinaryNode, jidNormalizedUser, USyncQuery, USyncUser, type WASocket } from 'baileys'
import { orTimeout, toEngineError } from './engine-errors.ts'
import type { LidMap } from './lid-map.ts'

export interface FoundPhone {
  readonly jid: string
  readonly lid: string | undefined
}

type Answers = ReadonlyMap<string, FoundPhone>

interface Asked {
  readonly phone: string
  readonly answer: PromiseWithResolvers<FoundPhone | undefined>
}

/**
 * Asks WhatsApp which numbers have accounts. One query is on its way at a time: what is asked meanwhile goes with the
 * next one, and at once when it fills one. WhatsApp counts queries, not numbers.
 */
export class PhoneLookups {
  readonly #ask: (phones: readonly string[]) => Promise<Answers>
  readonly #batchSize: number
  readonly #pending = new Map<string, Asked>()
  readonly #waiting: Asked[] = []
  #underWay = 0

  constructor(deps: {
    readonly ask: (phones: readonly string[]) => Promise<Answers>
    /** Most numbers in one query. */
    readonly batchSize: number
  }) {
    this.#ask = deps.ask
    this.#batchSize = deps.batchSize
  }

  /** Digits. Undefined when nobody has the number. @throws what `ask` throws */
  find(phone: string): Promise<FoundPhone | undefined> {
    const known = this.#pending.get(phone)
    if (known) return known.answer.promise
    const asked = { phone, answer: Promise.withResolvers<FoundPhone | undefined>() }
    this.#pending.set(phone, asked)
    this.#waiting.push(asked)
    this.#pump()
    return asked.answer.promise
  }

  #pump(): void {
    while (this.#waiting.length > 0 && (this.#underWay === 0 || this.#waiting.length >= this.#batchSize))
      void this.#run(this.#waiting.splice(0, this.#batchSize))
  }

  /** Never throws. */
  async #run(batch: readonly Asked[]): Promise<void> {
    this.#underWay++
    try {
      const found = await this.#ask(batch.map(({ phone }) => phone))
      for (const { phone, answer } of batch) answer.resolve(found.get(phone))
    } catch (error) {
      for (const { answer } of batch) answer.reject(error)
    } finally {
      this.#underWay--
      for (const { phone } of batch) this.#pending.delete(phone)
      this.#pump()
    }
  }
}

/** One query for several numbers; keeps the names that come with the answer. @throws whatsapp_timeout, not_connected, whatsapp_refused */
export const askPhones = async (sock: WASocket, lidMap: LidMap, phones: readonly string[]): Promise<Answers> => {
  const query = new USyncQuery().withContactProtocol().withLIDProtocol()
  const [contact] = query.protocols
  // Baileys' reading leaves out which number it is about, and an account's own may be written otherwise
  contact!.parser = (node: BinaryNode) => (node.attrs.type === 'in' ? { asked: digitsOf(node) } : null)
  for (const phone of phones) query.withUser(new USyncUser().withPhone(`+${phone}`))
  try {
    const answer = orTimeout(await sock.executeUSyncQuery(query), 'looking up numbers')
    const found = new Map<string, FoundPhone>()
    for (const { id, contact: known, lid: named } of answer.list) {
      if (!known) continue
      const jid = jidNormalizedUser(id)
      const lid = typeof named === 'string' && named ? named : undefined
      const { asked } = known as { readonly asked: string }
      const phone = phones.length === 1 ? phones[0]! : asked || jid.slice(0, jid.indexOf('@'))
      found.set(phone, { jid, lid })
    }
    const pairs = [...found.values()].flatMap(({ jid, lid }) => (lid ? [{ pn: jid, lid }] : []))
    if (pairs.length > 0) await lidMap.storeLIDPNMappings(pairs)
    return found
  } catch (error) {
    throw toEngineError(error, 'looking up numbers')
  }
}

const digitsOf = ({ content }: BinaryNode): string => {
  const text =
    typeof content === 'string' ? content : content instanceof Uint8Array ? Buffer.from(content).toString() : ''
  return text.replace(/\D/g, '')
}
