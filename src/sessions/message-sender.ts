import type { EngineSession, MessageReference, OutgoingContent, OutgoingContext } from '../engine/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { isParleyError, messageOf, ParleyError } from '../kernel/errors.ts'
import { newMessageId } from '../kernel/ids.ts'
import { kindOfJid } from '../kernel/jid.ts'
import type { Logger } from '../kernel/logger.ts'
import type {
  MergedParty,
  MessageRepository,
  MessageRow,
  NewEvent,
  NewMessage,
  TimedContent,
} from '../storage/index.ts'
import type { DeviceSession } from './device-session.ts'
import type { GroupTimers } from './group-timers.ts'
import type { SendRequest, SentMessage } from './index.ts'
import type { Fate, Outbox } from './outbox.ts'
import type { Recipient, Recipients } from './recipients.ts'
import { wordsOfFailure } from './refusals.ts'
import type { SendLimits } from './send-limits.ts'

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

/** The open connection of a device, waited for a little when it is just coming back. @throws not_linked, not_connected */
export const connectionOf = async (device: DeviceSession): Promise<EngineSession> => {
  if (!device.account) throw new ParleyError('not_linked', 'the device is not linked to a WhatsApp account')
  if (!device.connection && device.isComing) await device.waitUntilOpen(COMEBACK_WAIT_MS)
  const { connection } = device
  if (!connection) throw new ParleyError('not_connected', `the device is not connected to WhatsApp`)
  return connection
}

/** Tells that looking up a number showed two contacts to be one. */
export interface Mergers {
  /** Called inside the transaction. */
  eventsOf(deviceId: string, party: MergedParty, conversationId: string): readonly NewEvent[]
  onEvents(deviceId: string, committed: readonly NewEvent[]): void
}

/** Sends messages: the id is chosen and the content committed before anything leaves; the outbox does the rest. */
export class MessageSender {
  readonly #messages: MessageRepository
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #behaviour: Behaviour
  readonly #random: () => number
  readonly #outbox: Outbox
  readonly #recipients: Recipients
  readonly #limits: SendLimits
  readonly #groupTimers: GroupTimers
  readonly #mergers: Mergers

  constructor(deps: {
    readonly messages: MessageRepository
    readonly clock: Clock
    readonly logger: Logger
    readonly behaviour: Behaviour
    readonly random: () => number
    readonly outbox: Outbox
    readonly recipients: Recipients
    readonly limits: SendLimits
    readonly groupTimers: GroupTimers
    readonly mergers: Mergers
  }) {
    this.#messages = deps.messages
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#behaviour = deps.behaviour
    this.#random = deps.random
    this.#outbox = deps.outbox
    this.#recipients = deps.recipients
    this.#limits = deps.limits
    this.#groupTimers = deps.groupTimers
    this.#mergers = deps.mergers
  }

  async send(device: DeviceSession, request: SendRequest): Promise<SentMessage> {
    const { messageId: given } = request
    const known = given === undefined ? undefined : await this.#messages.find(device.deviceId, given)
    if (known?.fromMe) return this.#report(device, known)
    const connection = await connectionOf(device)
    const giveBack = this.#limits.take(device.deviceId, request.content.kind)
    let row: MessageRow
    try {
      row = await this.#write(device, connection, request)
    } catch (error) {
      giveBack()
      throw error
    }
    return this.#report(device, row)
  }

  /** What stands against the message first, then what takes time, then the commit. */
  async #write(device: DeviceSession, connection: EngineSession, request: SendRequest): Promise<MessageRow> {
    const chat = await this.#recipients.resolve(connection, request.chat)
    const quoted = await this.#quoted(device.deviceId, request)
    await this.#groupTimers.learn(connection, chat.jid)
    const content = 'upload' in request.content ? await request.content.upload(connection) : request.content
    await this.#simulate(connection, chat.jid, request, content)
    const messageId = request.messageId ?? newMessageId()
    const build = (more: OutgoingContext) =>
      connection.build({
        messageId,
        chat: chat.jid,
        content,
        context: {
          ...(quoted ? { quoted } : {}),
          ...(request.mentions ? { mentions: request.mentions } : {}),
          ...more,
        },
      })
    const carries = carriesTimer(content)
    const ofNewChats = carries && kindOfJid(chat.jid) !== 'group' ? await connection.defaultTimer() : undefined
    // who is told of it that the chat has a timer builds it once more; most chats have none
    const timed = carries
      ? { ofNewChats, content: (timer: OutgoingContext['timer']) => build({ timer: timer! }) }
      : undefined
    return this.#accept(device, { messageId, chat, request, content, encoded: build({}), timed })
  }

  /** What has become of a committed message, or becomes of it while the caller waits. */
  async #report(device: DeviceSession, row: MessageRow): Promise<SentMessage> {
    const { messageId, chat, state, timestamp } = row
    if (state === 'failed')
      throw refusal(row, { state, whatsappCode: row.failureCode, error: new Error(row.failureReason) })
    if (state !== 'accepted') return { messageId, chat, status: state === 'received' ? 'server_ack' : state, timestamp }
    const fate = await this.#waitFor(this.#outbox.submit(device, row))
    if (fate?.state === 'failed') throw refusal(row, fate)
    return { messageId, chat, status: fate ? 'server_ack' : 'accepted', timestamp: fate?.timestamp ?? timestamp }
  }

  /** Undefined when there is no word in time: the message stays accepted and goes on its way without the caller. */
  async #waitFor(fate: Promise<Fate>): Promise<Fate | undefined> {
    const { promise: enough, resolve } = Promise.withResolvers<undefined>()
    const cancel = this.#clock.after(ACK_WAIT_MS, () => resolve(undefined))
    try {
      return await Promise.race([fate, enough])
    } finally {
      cancel()
    }
  }

  async #quoted(deviceId: string, { replyToMessageId, chat }: SendRequest) {
    if (replyToMessageId === undefined) return undefined
    const row =
      (await this.#messages.find(deviceId, replyToMessageId, chat)) ??
      fromGroup(await this.#messages.find(deviceId, replyToMessageId))
    if (!row?.content)
      throw new ParleyError(
        'not_found',
        `reply_to_message_id: no message ${replyToMessageId} is stored for this chat`,
        {
          field: 'reply_to_message_id',
        },
      )
    const { messageId, chat: quotedChat, sender, fromMe, content, editedAt, text } = row
    const edited = editedAt === undefined || text === undefined ? {} : { text }
    return { messageId, chat: quotedChat, sender, fromMe, content, ...edited }
  }

  /** Looks human where it is asked to: online, typing for a while, then the message. Presence off means typing off. */
  async #simulate(
    connection: EngineSession,
    chat: string,
    request: SendRequest,
    content: OutgoingContent,
  ): Promise<void> {
    const { autoPresence, autoTyping, typingDelayMinMs: min, typingDelayMaxMs: max } = this.#behaviour
    if (!(request.presenceSimulation ?? autoPresence) || !isTyped(content)) return
    const state = content.kind === 'media' && content.media === 'audio' ? 'recording' : 'composing'
    try {
      await connection.sendPresence('available')
      if (request.typingSimulation ?? autoTyping) {
        await connection.sendChatState(chat, state)
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
    message: {
      readonly messageId: string
      readonly chat: Recipient
      readonly request: SendRequest
      readonly content: OutgoingContent
      readonly encoded: Uint8Array
      readonly timed: TimedContent | undefined
    },
  ): Promise<MessageRow> {
    const { messageId, chat, request, content, encoded, timed } = message
    const { deviceId } = device
    let events: readonly NewEvent[] = []
    const row = await this.#messages.accept(
      deviceId,
      {
        chat: chat.jid,
        messageId,
        sender: bareOwnJid(device),
        fromMe: true,
        ...describe(content, messageId, this.#clock.now()),
        ...(request.mentions?.length ? { mentions: request.mentions } : {}),
        quotedMessageId: request.replyToMessageId,
        pushName: undefined,
        timestamp: Math.floor(this.#clock.now() / 1000),
        state: 'accepted',
        failureCode: undefined,
        content: encoded,
      },
      chat.party,
      timed,
      (party, conversationId) => {
        events = this.#mergers.eventsOf(deviceId, party, conversationId)
        return events
      },
    )
    this.#mergers.onEvents(deviceId, events)
    return row
  }
}

/** A message of a group may be answered in private; what stands in one person's chat is no business of another's. */
const fromGroup = (row: MessageRow | undefined): MessageRow | undefined =>
  row && kindOfJid(row.chat) === 'group' ? row : undefined

/** What a person would have typed or recorded: a reaction or a vote takes no time. */
const isTyped = ({ kind }: OutgoingContent): boolean =>
  kind === 'text' ||
  kind === 'media' ||
  kind === 'location' ||
  kind === 'contacts' ||
  kind === 'poll' ||
  kind === 'edit'

/** What goes with the chat's timer; an action goes with the message it is about. */
const carriesTimer = ({ kind }: OutgoingContent): boolean =>
  kind === 'text' ||
  kind === 'media' ||
  kind === 'location' ||
  kind === 'contacts' ||
  kind === 'poll' ||
  kind === 'forward'

/** How a content stands in the message store. */
const describe = (
  content: OutgoingContent,
  messageId: string,
  at: number,
): Pick<NewMessage, 'type' | 'text' | 'details' | 'action'> => {
  switch (content.kind) {
    case 'text':
      return { type: 'text', text: content.text }
    case 'media':
      return { type: content.media, text: content.caption }
    case 'location': {
      const { latitude, longitude, name, address } = content
      const place = { latitude, longitude, ...(name ? { name } : {}), ...(address ? { address } : {}) }
      return { type: 'location', text: name, details: { location: place } }
    }
    case 'contacts': {
      const contacts = content.contacts.map(({ displayName, vcard }) => ({ name: displayName, vcard }))
      return { type: 'contact', text: contacts.map(({ name }) => name).join(', '), details: { contacts } }
    }
    case 'poll': {
      const { name: question, options, selectableCount: selectable } = content
      return { type: 'poll', text: question, details: { poll: { question, options, selectable } } }
    }
    case 'forward':
      return { type: content.type, text: content.text, ...(content.details ? { details: content.details } : {}) }
    case 'reaction':
      return {
        type: 'reaction',
        text: content.emoji,
        action: { kind: 'reaction', target: targetOf(content.target), emoji: content.emoji, at },
      }
    case 'edit':
      return {
        type: 'edit',
        text: content.text,
        action: { kind: 'edit', target: targetOf(content.target), text: content.text, at },
      }
    case 'revoke':
      return {
        type: 'revoke',
        text: undefined,
        action: { kind: 'revoke', target: targetOf(content.target), byAdmin: !content.target.fromMe, at },
      }
    case 'poll_vote':
      return {
        type: 'poll_vote',
        text: undefined,
        action: { kind: 'poll_vote', target: targetOf(content.poll), options: content.options, at },
      }
    case 'disappearing':
      return {
        type: 'protocol',
        text: undefined,
        action: {
          kind: 'timer',
          target: { messageId, fromMe: true },
          timer: { seconds: content.seconds, setAt: Math.floor(at / 1000) },
          at,
        },
      }
  }
}

const targetOf = ({ messageId, fromMe }: MessageReference) => ({ messageId, fromMe })

const bareOwnJid = (device: DeviceSession): string => {
  const user = device.account?.jid.split(/[:@]/)[0] ?? ''
  return `${user}@s.whatsapp.net`
}

const refusal = (row: MessageRow, { whatsappCode, error }: Extract<Fate, { state: 'failed' }>): ParleyError => {
  if (isParleyError(error)) return error
  const data = { message_id: row.messageId, ...(whatsappCode === undefined ? {} : { whatsapp_code: whatsappCode }) }
  return new ParleyError('whatsapp_refused', wordsOfFailure(whatsappCode, error?.message), { data })
}
