import type { EngineSession } from '../engine/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'
import { kindOfJid, phoneOfJid } from '../kernel/jid.ts'
import type { PartyNames } from '../storage/index.ts'

export interface LookupCacheOptions {
  readonly enabled: boolean
  readonly ttlMs: number
  readonly max: number
}

export interface Recipient {
  readonly jid: string
  readonly party: PartyNames | undefined
}

interface Answer {
  readonly found: { readonly jid: string; readonly lid: string | undefined } | undefined
  readonly until: number
}

/** Whom a chat means. A number is looked up on WhatsApp; the answer is kept where the configuration says so. */
export class Recipients {
  readonly #options: LookupCacheOptions
  readonly #clock: Pick<Clock, 'now'>
  /** By phone number, oldest first: an account is the same for every device that asks. */
  readonly #answers = new Map<string, Answer>()

  constructor(deps: { readonly options: LookupCacheOptions; readonly clock: Pick<Clock, 'now'> }) {
    this.#options = deps.options
    this.#clock = deps.clock
  }

  /** `field`: what the caller named it by. @throws not_on_whatsapp, whatsapp_timeout, not_connected */
  async resolve(connection: EngineSession, chat: string, field = 'chat_jid'): Promise<Recipient> {
    const phone = phoneOfJid(chat)
    if (phone === undefined)
      return { jid: chat, party: kindOfJid(chat) === 'lid' ? { pn: undefined, lid: chat } : undefined }
    const found = await this.#lookUp(connection, phone)
    if (!found) throw new ParleyError('not_on_whatsapp', `${field}: the number ${phone} is not on WhatsApp`, { field })
    return { jid: found.jid, party: { pn: found.jid, lid: found.lid } }
  }

  async #lookUp(connection: EngineSession, phone: string): Promise<Answer['found']> {
    if (!this.#options.enabled) return connection.lookUpPhone(phone)
    const now = this.#clock.now()
    const known = this.#answers.get(phone)
    if (known && known.until > now) return known.found
    const found = await connection.lookUpPhone(phone)
    this.#answers.delete(phone)
    this.#answers.set(phone, { found, until: now + this.#options.ttlMs })
    if (this.#answers.size > this.#options.max) this.#answers.delete(this.#answers.keys().next().value!)
    return found
  }
}
