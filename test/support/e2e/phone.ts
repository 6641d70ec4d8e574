import type { RunningSandbox } from '../../../scripts/lib/sandbox.ts'
import { until } from './until.ts'

export interface SeenMessage {
  readonly seq: number
  readonly message_id: string
  readonly chat: string
  readonly from: string
  readonly from_device: number
  readonly from_me: boolean
  readonly group: boolean
  readonly type: string
  readonly text: string | null
  readonly push_name: string | null
  readonly quoted_message_id: string | null
  readonly copies: number
  readonly media: SeenFile | null
  /** The card of a link. */
  readonly link: {
    readonly url: string
    readonly title: string | null
    readonly description: string | null
    readonly thumbnail_base64: string | null
  } | null
}

/** The file of a message, as the phone has opened it. */
export interface SeenFile {
  readonly kind: string
  readonly mimetype: string
  readonly sha256: string | null
  readonly size: number
  readonly width: number | null
  readonly height: number | null
  readonly seconds: number | null
  readonly waveform: readonly number[] | null
  readonly voice_note: boolean
  readonly view_once: boolean
  readonly animated: boolean
  readonly caption: string | null
  readonly file_name: string | null
  readonly thumbnail_base64: string | null
  readonly direct_path: string
  readonly fault: string | null
}

export interface SeenReceipt {
  readonly message_id: string
  readonly from: string | null
  readonly type: string
}

export interface LinkResult {
  readonly phone: string
  readonly device_jid: string | null
  readonly status: 'linked' | 'passkey_required'
}

/** A person of the sandbox with a phone: what the other side sees, decrypted. */
export class Phone {
  readonly name: string
  readonly number: string
  readonly jid: string
  readonly lid: string
  readonly #sandbox: RunningSandbox

  constructor(sandbox: RunningSandbox, person: { name: string; phone: string; jid: string; lid: string }) {
    this.#sandbox = sandbox
    this.name = person.name
    this.number = person.phone
    this.jid = person.jid
    this.lid = person.lid
  }

  call<T>(method: string, path: string, body?: unknown): Promise<T> {
    return this.#sandbox.call<T>(method, `/sandbox/people/${this.number}${path}`, body)
  }

  scan(qr: string): Promise<LinkResult> {
    return this.call('POST', '/scan', { qr })
  }

  enterCode(code: string): Promise<LinkResult> {
    return this.call('POST', '/enter-code', { code })
  }

  /** Writes a text to a phone number, a JID or a group. Answers the message id. */
  async write(to: Phone | string, text: string, quoted?: string): Promise<string> {
    const { message_id } = await this.call<{ message_id: string }>('POST', '/send', {
      to: typeof to === 'string' ? to : to.number,
      text,
      ...(quoted === undefined ? {} : { quoted_message_id: quoted }),
    })
    return message_id
  }

  /** Sends a file, encrypted as an app does it. Answers the message id. */
  async sendFile(to: Phone | string, fields: Readonly<Record<string, unknown>>): Promise<string> {
    const { message_id } = await this.call<{ message_id: string }>('POST', '/send-media', {
      to: typeof to === 'string' ? to : to.number,
      ...fields,
    })
    return message_id
  }

  /** The decrypted file of a message. */
  async file(messageId: string): Promise<Buffer> {
    const path = `/sandbox/people/${this.number}/messages/${messageId}/media`
    const response = await fetch(`${this.#sandbox.http}${path}`)
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
    return Buffer.from(await response.arrayBuffer())
  }

  read(chat: Phone | string, ...messageIds: readonly string[]): Promise<unknown> {
    return this.call('POST', '/read', {
      chat: typeof chat === 'string' ? chat : chat.number,
      message_ids: messageIds,
    })
  }

  async messages(): Promise<readonly SeenMessage[]> {
    return (await this.call<{ messages: SeenMessage[] }>('GET', '/messages')).messages
  }

  /** The message with that text (or id), once the phone has it. */
  message(textOrId: string, timeoutMs?: number): Promise<SeenMessage> {
    return until(
      `${this.name} receives ${JSON.stringify(textOrId.slice(0, 60))}`,
      async () => (await this.messages()).find(({ text, message_id }) => text === textOrId || message_id === textOrId),
      timeoutMs,
    )
  }

  receipt(messageId: string, type: string): Promise<SeenReceipt> {
    return until(`${this.name} gets a ${type} receipt for ${messageId}`, async () => {
      const { receipts } = await this.call<{ receipts: SeenReceipt[] }>('GET', '/receipts')
      return receipts.find((receipt) => receipt.message_id === messageId && receipt.type === type)
    })
  }

  setOnline(online: boolean): Promise<unknown> {
    return this.call('POST', '/phone', { online })
  }

  async companions(): Promise<readonly { jid: string; device: number; connected: boolean; queue_length: number }[]> {
    const person = await this.call<{
      companions: { jid: string; device: number; connected: boolean; queue_length: number }[]
    }>('GET', '')
    return person.companions
  }

  /** Logs a companion out, as under "Linked devices". */
  logOut(deviceJid: string): Promise<unknown> {
    return this.call('DELETE', `/devices/${/:(\d+)@/.exec(deviceJid)?.[1]}`)
  }
}
