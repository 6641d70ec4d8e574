import { type BinaryNode, getBinaryNodeChild, getBinaryNodeChildren, type WASocket } from 'baileys'
import type { Clock } from '../../kernel/clock.ts'
import { ParleyError } from '../../kernel/errors.ts'
import { orTimeout, toEngineError } from './engine-errors.ts'

/** Where files may be uploaded, and the leave to do so. */
export interface MediaLeave {
  readonly hosts: readonly string[]
  readonly auth: string
  /** Ms since the epoch. */
  readonly endsAt: number
}

/**
 * The media servers as WhatsApp names them to one connection. Not asked through Baileys' `refreshMediaConn`: that keeps an
 * answer that failed, so that one refusal or timeout would end all uploads of the connection.
 */
export class MediaServers {
  readonly #sock: Pick<WASocket, 'query'>
  readonly #clock: Clock
  #leave: Promise<MediaLeave> | undefined

  constructor({ sock, clock }: { readonly sock: Pick<WASocket, 'query'>; readonly clock: Clock }) {
    this.#sock = sock
    this.#clock = clock
  }

  /** `fresh`: the leave at hand was refused. @throws whatsapp_refused, whatsapp_timeout, not_connected */
  async leave(fresh: boolean): Promise<MediaLeave> {
    const current = this.#leave
    if (current && !fresh) {
      const known = await current
      if (known.endsAt > this.#clock.now()) return known
      if (this.#leave !== current) return this.leave(false)
    }
    const asked = this.#ask()
    this.#leave = asked
    asked.catch(() => {
      if (this.#leave === asked) this.#leave = undefined
    })
    return asked
  }

  async #ask(): Promise<MediaLeave> {
    const doing = 'asking for the media servers'
    try {
      const attrs = { to: 's.whatsapp.net', type: 'set', xmlns: 'w:m' }
      const question: BinaryNode = { tag: 'iq', attrs, content: [{ tag: 'media_conn', attrs: {} }] }
      const answer: BinaryNode = orTimeout(await this.#sock.query(question), doing)
      const named = getBinaryNodeChild(answer, 'media_conn')
      const hosts = getBinaryNodeChildren(named, 'host').flatMap(({ attrs: { hostname } }) => hostname ?? [])
      const auth = named?.attrs.auth
      if (!auth || hosts.length === 0)
        throw new ParleyError('whatsapp_refused', 'WhatsApp named no media server to upload to')
      return { hosts, auth, endsAt: this.#clock.now() + (Number(named.attrs.ttl) || 0) * 1000 }
    } catch (error) {
      throw toEngineError(error, doing)
    }
  }
}
