import { randomBytes } from 'node:crypto'
import type { EngineSession, EngineSignal, SendOutcome } from '../engine/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf, ParleyError } from '../kernel/errors.ts'
import { kindOfJid, phoneOfJid } from '../kernel/jid.ts'
import type { KeyedQueue } from '../kernel/keyed-queue.ts'
import type { Logger } from '../kernel/logger.ts'
import type { MessageRepository, MessageRow, PartyNames } from '../storage/index.ts'
import type { DeviceSession } from './device-session.ts'
import type { SendTextRequest, SentMessage } from './index.ts'

export interface Behaviour {
  readonly autoPresence: boolean
  readonly autoTyping: boolean
  readonly typingDelayMinMs: number
  readonly typingDelayMaxMs: number
}

/** How long a caller waits for the server's word before the answer is `accepted`. */
const ACK_WAIT_MS = 10_000
/** How long a send waits for a device that is just coming back. */
const COMEBACK_WAIT_MS = 10_000
/** Messages sent again per connection. */
const RESEND_BATCH = 500

/**
 * Sends texts: rule 2 of durability. The id is chosen and the content committed before anything leaves; what was
 * committed and got no answer goes out again, under the same id, with the next connection. One message per chat at a
 * time: the next waits for the word on the one before.
 */
export class TextSender {
  readonly #messages: MessageRepository
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #behaviour: Behaviour
  readonly #random: () => number
  readonly #chats: KeyedQueue<string>
  readonly #onState: (message: MessageRow, state: 'accepted' | 'server_ack' | 'failed', code?: number) => Promise<void>

  constructor(deps: {
    readonly messages: MessageRepository
    readonly clock: Clock
    readonly logger: Logger
    readonly behaviour: Behaviour
    readonly random: () => number
    readonly chats: KeyedQueue<string>
    /** A message that we sent has moved: writes the `message.status` event. */
    readonly onState: (message: MessageRow, state: 'accepted' | 'server_ack' | 'failed', code?: number) => Promise<void>
  }) {
    this.#messages = deps.messages
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#behaviour = deps.behaviour
    this.#random = deps.random
    this.#chats = deps.chats
    this.#onState = deps.onState
  }

  async send(device: DeviceSession, request: SendTextRequest): Promise<SentMessage> {
    const connection = await this.#connectionOf(device)
    const chat = await this.#resolve(connection, request.chat)
    const quoted = await this.#quoted(device.deviceId, request)
    await this.#simulate(connection, chat.jid, request)
    const messageId = newMessageId()
    const timestamp = Math.floor(this.#clock.now() / 1000)
    let row: MessageRow | undefined
    const outcome = await this.#chats.run(`${device.deviceId}|${chat.jid}`, () =>
      connection
        .sendText(
          { messageId, chat: chat.jid, text: request.text, ...(quoted ? { quoted } : {}) },
          ACK_WAIT_MS,
          async (content) => {
            row = await this.#accept(device, messageId, chat, request, timestamp, content)
          },
        )
        .catch((error: unknown) => this.#onFailure(row, error)),
    )
    return this.#report(row!, outcome, timestamp)
  }

  /** What is still without an answer goes out again with the same ids, oldest first. */
  async resendPending(deviceId: string, connection: EngineSession): Promise<void> {
    for (const row of await this.#messages.pending(deviceId, RESEND_BATCH)) {
      if (!row.content) continue
      const content = row.content
      try {
        const outcome = await this.#chats.run(`${deviceId}|${row.chat}`, () =>
          connection.resend(row.messageId, row.chat, content, ACK_WAIT_MS),
        )
        await this.#settle(row, outcome)
      } catch (error) {
        // the connection is gone, or the recipient cannot be reached: the next connection tries again
        this.#logger.warn(
          { device_id: deviceId, message_id: row.messageId, reason: messageOf(error) },
          'a message was not sent again',
        )
        return
      }
    }
  }

  /** The server's word on a message nobody waits for any more. */
  async onLateAck(deviceId: string, ack: Extract<EngineSignal, { type: 'late_ack' }>): Promise<void> {
    const row = await this.#messages.find(deviceId, ack.messageId, ack.chat)
    if (!row?.fromMe || row.state !== 'accepted') return
    await this.#settle(
      row,
      ack.whatsappCode === undefined
        ? { outcome: 'server_ack', timestamp: 0 }
        : { outcome: 'refused', whatsappCode: ack.whatsappCode },
    )
  }

  async #connectionOf(device: DeviceSession): Promise<EngineSession> {
    if (!device.account) throw new ParleyError('not_linked', 'the device is not linked to a WhatsApp account')
    if (!device.connection && device.isComing) await device.waitUntilOpen(COMEBACK_WAIT_MS)
    const { connection } = device
    if (!connection) throw new ParleyError('not_connected', `the device is not connected to WhatsApp`)
    return connection
  }

  async #resolve(connection: EngineSession, chat: string): Promise<{ jid: string; party: PartyNames | undefined }> {
    const phone = phoneOfJid(chat)
    if (phone !== undefined) {
      const found = await connection.lookUpPhone(phone)
      if (!found)
        throw new ParleyError('not_on_whatsapp', `chat_jid: the number ${phone} is not on WhatsApp`, {
          field: 'chat_jid',
        })
      return { jid: found.jid, party: { pn: found.jid, lid: found.lid } }
    }
    return { jid: chat, party: kindOfJid(chat) === 'lid' ? { pn: undefined, lid: chat } : undefined }
  }

  async #quoted(deviceId: string, { replyToMessageId, chat }: SendTextRequest) {
    if (replyToMessageId === undefined) return undefined
    const row =
      (await this.#messages.find(deviceId, replyToMessageId, chat)) ??
      (await this.#messages.find(deviceId, replyToMessageId))
    if (!row?.content)
      throw new ParleyError(
        'not_found',
        `reply_to_message_id: no message ${replyToMessageId} is stored for this chat`,
        {
          field: 'reply_to_message_id',
        },
      )
    return { messageId: row.messageId, sender: row.sender, fromMe: row.fromMe, content: row.content }
  }

  /** Looks human where it is asked to: online, typing for a while, then the message. Presence off means typing off. */
  async #simulate(connection: EngineSession, chat: string, request: SendTextRequest): Promise<void> {
    const { autoPresence, autoTyping, typingDelayMinMs: min, typingDelayMaxMs: max } = this.#behaviour
    if (!(request.presenceSimulation ?? autoPresence)) return
    try {
      await connection.sendPresence('available')
      if (request.typingSimulation ?? autoTyping) {
        await connection.sendChatState(chat, 'composing')
        await this.#clock.sleep(min + this.#random() * (max - min))
        await connection.sendChatState(chat, 'paused')
      }
      await connection.sendPresence('unavailable')
    } catch (error) {
      this.#logger.debug(
        { device_id: connection.deviceId, reason: messageOf(error) },
        'simulated presence was not sent',
      )
    }
  }

  async #accept(
    device: DeviceSession,
    messageId: string,
    chat: { jid: string; party: PartyNames | undefined },
    request: SendTextRequest,
    timestamp: number,
    content: Uint8Array,
  ): Promise<MessageRow> {
    return this.#messages.accept(
      device.deviceId,
      {
        chat: chat.jid,
        messageId,
        sender: bareOwnJid(device),
        fromMe: true,
        type: 'text',
        text: request.text,
        quotedMessageId: request.replyToMessageId,
        pushName: undefined,
        timestamp,
        state: 'accepted',
        failureCode: undefined,
        content,
      },
      chat.party,
    )
  }

  /** Nothing was accepted: the caller is told. Something was: its fate is open, and the next connection settles it. */
  async #onFailure(row: MessageRow | undefined, error: unknown): Promise<SendOutcome> {
    if (!row) throw error
    this.#logger.warn(
      { device_id: row.deviceId, message_id: row.messageId, reason: messageOf(error) },
      'a send broke off',
    )
    if (error instanceof ParleyError && (error.code === 'not_connected' || error.code === 'whatsapp_timeout'))
      return { outcome: 'unknown' }
    await this.#advance(row, 'failed')
    throw error
  }

  async #report(row: MessageRow, outcome: SendOutcome, timestamp: number): Promise<SentMessage> {
    await this.#settle(row, outcome)
    if (outcome.outcome === 'refused')
      throw new ParleyError('whatsapp_refused', refusalWords(outcome.whatsappCode), {
        data: { whatsapp_code: outcome.whatsappCode, message_id: row.messageId },
      })
    const acked = outcome.outcome === 'server_ack'
    return {
      messageId: row.messageId,
      chat: row.chat,
      status: acked ? 'server_ack' : 'accepted',
      timestamp: acked ? outcome.timestamp : timestamp,
    }
  }

  async #settle(row: MessageRow, outcome: SendOutcome): Promise<void> {
    if (outcome.outcome === 'server_ack') await this.#advance(row, 'server_ack')
    else if (outcome.outcome === 'refused') await this.#advance(row, 'failed', outcome.whatsappCode)
  }

  async #advance(row: MessageRow, state: 'server_ack' | 'failed', code?: number): Promise<void> {
    if (await this.#messages.advance(row.deviceId, row.chat, row.messageId, state, code))
      await this.#onState(row, state, code)
  }
}

/** As WhatsApp Web's ids look: `3EB0` and 18 hex digits. */
const newMessageId = (): string => `3EB0${randomBytes(9).toString('hex').toUpperCase()}`

const bareOwnJid = (device: DeviceSession): string => {
  const user = device.account?.jid.split(/[:@]/)[0] ?? ''
  return `${user}@s.whatsapp.net`
}

const REFUSALS: Readonly<Record<number, string>> = {
  403: 'WhatsApp does not allow this message (not a member of the group, or not allowed to write there)',
  463: 'WhatsApp restricts this account: it may not start new chats at present',
  479: 'WhatsApp rejected the message as malformed or addressed to a stale device',
}

const refusalWords = (code: number): string => REFUSALS[code] ?? `WhatsApp refused the message (${code})`
