import type { EngineSession, Occurrence } from '../engine/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { messageOf } from '../kernel/errors.ts'
import { kindOfJid } from '../kernel/jid.ts'
import type { Logger } from '../kernel/logger.ts'
import type { ChatRepository } from '../storage/index.ts'

export interface AutoReadOptions {
  readonly autoMarkRead: boolean
  readonly readReceiptJitter: boolean
  readonly readReceiptDelayMinMs: number
  readonly readReceiptDelayMaxMs: number
}

/** Marks what comes in as read, where the configuration says so; not our own messages, stories, channels or broadcasts. */
export class AutoRead {
  readonly #options: AutoReadOptions
  readonly #connectionOf: (deviceId: string) => EngineSession | undefined
  readonly #chats: Pick<ChatRepository, 'find' | 'markRead'>
  readonly #clock: Clock
  readonly #random: () => number
  readonly #logger: Logger

  constructor(deps: {
    readonly options: AutoReadOptions
    readonly connectionOf: (deviceId: string) => EngineSession | undefined
    readonly chats: Pick<ChatRepository, 'find' | 'markRead'>
    readonly clock: Clock
    readonly random: () => number
    readonly logger: Logger
  }) {
    this.#options = deps.options
    this.#connectionOf = deps.connectionOf
    this.#chats = deps.chats
    this.#clock = deps.clock
    this.#random = deps.random
    this.#logger = deps.logger
  }

  /** Called with what is stored already. Holds nobody up: the receipt leaves after its delay, if the device is connected then. */
  onOccurrence(deviceId: string, occurrence: Occurrence): void {
    const { autoMarkRead, readReceiptJitter, readReceiptDelayMinMs: min, readReceiptDelayMaxMs: max } = this.#options
    if (!autoMarkRead || occurrence.kind !== 'message' || occurrence.fromMe || occurrence.action) return
    if (occurrence.type === 'undecryptable' || occurrence.type === 'protocol') return
    const kind = kindOfJid(occurrence.chat)
    if (kind !== 'pn' && kind !== 'lid' && kind !== 'group') return
    const delay = readReceiptJitter ? min + this.#random() * (max - min) : 0
    this.#clock.after(delay, () => {
      this.#read(deviceId, occurrence).catch((error: unknown) => {
        this.#logger.warn({ device_id: deviceId, reason: messageOf(error) }, 'a message was not marked as read')
      })
    })
  }

  async #read(
    deviceId: string,
    { chat, sender, messageId }: Pick<Extract<Occurrence, { kind: 'message' }>, 'chat' | 'sender' | 'messageId'>,
  ): Promise<void> {
    const connection = this.#connectionOf(deviceId)
    if (!connection) return
    await connection.markRead(chat, sender, [messageId])
    const known = await this.#chats.find(deviceId, chat)
    if (known) await this.#chats.markRead(deviceId, known.conversationId, [messageId])
  }
}
