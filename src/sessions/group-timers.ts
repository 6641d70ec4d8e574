import type { EngineSession } from '../engine/index.ts'
import { isParleyError, messageOf } from '../kernel/errors.ts'
import { kindOfJid } from '../kernel/jid.ts'
import type { Logger } from '../kernel/logger.ts'
import type { ChatRepository } from '../storage/index.ts'

/** Groups whose timer is known to be stored; whichever was asked for longest ago goes first. */
const MOST_KNOWN = 50_000

/**
 * Sees to it that the timer of a group is stored before the first message goes there. Later changes come as
 * notifications and are stored as they come, so WhatsApp is asked once per group, the database once per group and start.
 */
export class GroupTimers {
  readonly #chats: Pick<ChatRepository, 'find' | 'setTimer'>
  readonly #logger: Logger
  readonly #known = new Set<string>()

  constructor(deps: { readonly chats: Pick<ChatRepository, 'find' | 'setTimer'>; readonly logger: Logger }) {
    this.#chats = deps.chats
    this.#logger = deps.logger
  }

  /** @throws storage_unavailable */
  async learn(connection: EngineSession, chat: string): Promise<void> {
    const key = `${connection.deviceId} ${chat}`
    if (kindOfJid(chat) !== 'group' || this.#known.has(key)) return
    const stored = await this.#chats.find(connection.deviceId, chat)
    if (stored?.disappearing === undefined && !(await this.#ask(connection, chat))) return
    this.#known.add(key)
    if (this.#known.size > MOST_KNOWN) this.#known.delete(this.#known.values().next().value!)
  }

  async #ask(connection: EngineSession, group: string): Promise<boolean> {
    try {
      const seconds = await connection.groupTimer(group)
      await this.#chats.setTimer(connection.deviceId, group, { seconds, setAt: 0 })
      return true
    } catch (error) {
      if (isParleyError(error, 'storage_unavailable')) throw error
      // WhatsApp's word on the message itself is the one to answer
      this.#logger.debug(
        { device_id: connection.deviceId, reason: messageOf(error) },
        'the timer of a group is not known',
      )
      return false
    }
  }
}
