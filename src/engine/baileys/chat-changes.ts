import { createHash } from 'node:crypto'
import {
  type BinaryNode,
  type ChatModification,
  type ChatMutation,
  chatModificationToAppPatch,
  encodeSyncdPatch,
  ensureLTHashStateVersion,
  getBinaryNodeChild,
  jidNormalizedUser,
  newLTHashState,
  proto,
  toNumber,
  type WAMessageKey,
  type WAPatchCreate,
  type WASocket,
} from 'baileys'
import type { Clock } from '../../kernel/clock.ts'
import { messageOf, ParleyError } from '../../kernel/errors.ts'
import { boundId } from '../../kernel/ids.ts'
import { bareJid, kindOfJid } from '../../kernel/jid.ts'
import { KeyedQueue } from '../../kernel/keyed-queue.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { ChangedMessage, ChatChange } from '../../kernel/message-facts.ts'
import type { StanzaFailureRepository } from '../../storage/index.ts'
import type { ChatChangeOccurrence, CoveredMessage, Intake } from '../index.ts'
import { orTimeout, toEngineError } from './engine-errors.ts'
import type { LidMap } from './lid-map.ts'
import { isStorageFailure } from './poison.ts'

/** How often a change is tried when another device of the account was quicker each time. */
const MOST_TRIES = 4

/**
 * Changes of chats that all devices of an account share: WhatsApp's app state. Ours are encrypted, uploaded and then
 * taken in like everybody else's; those of other devices come by `onMutation`, in order.
 *
 * Baileys' own upload does not look at the answer: where another device was quicker, WhatsApp refuses ours with 409, and
 * Baileys goes on with a version and a hash that nobody else has. So the upload is done here.
 */
export class ChatChanges {
  readonly #deviceId: string
  readonly #sock: WASocket
  readonly #lidMap: LidMap
  readonly #intake: Intake
  readonly #failures: Pick<StanzaFailureRepository, 'note'>
  readonly #takeRefusal: (collection: string) => boolean
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #uploads = new KeyedQueue<string>()
  #tail: Promise<void> = Promise.resolve()

  constructor(deps: {
    readonly deviceId: string
    readonly sock: WASocket
    readonly lidMap: LidMap
    readonly intake: Intake
    readonly failures: Pick<StanzaFailureRepository, 'note'>
    /** Whether changes of a collection did not verify when they were last fetched. */
    readonly takeRefusal: (collection: string) => boolean
    readonly clock: Clock
    readonly logger: Logger
  }) {
    this.#deviceId = deps.deviceId
    this.#sock = deps.sock
    this.#lidMap = deps.lidMap
    this.#intake = deps.intake
    this.#failures = deps.failures
    this.#takeRefusal = deps.takeRefusal
    this.#clock = deps.clock
    this.#logger = deps.logger
  }

  /** @throws conflict, whatsapp_timeout, whatsapp_refused */
  async change(chat: string, change: ChatChange, last: readonly CoveredMessage[]): Promise<void> {
    const at = this.#clock.now()
    const patch = chatModificationToAppPatch(modificationOf(chat, change, last), chat)
    patch.syncAction.timestamp = at
    // Baileys writes '0', which is right for one-to-one chats only
    if ('message' in change && kindOfJid(chat) === 'group' && !change.message.fromMe && change.message.sender)
      patch.index[4] = change.message.sender
    if (change.kind === 'delete') patch.index[2] = change.deleteMedia ? '1' : '0'
    await this.#uploads.run(patch.type, () => this.#upload(patch))
    await this.#inOrder(() => this.#take(chat, change, at, false, plain(patch.syncAction)))
  }

  /** A mutation that Baileys decoded and whose MACs it has verified. */
  onMutation({ syncAction, index }: ChatMutation, fromFull: boolean): void {
    const { value } = syncAction
    const [type = '', chat] = index
    const change = value && readChange(type, index, value)
    if (!value || !change || !chat?.includes('@')) return
    const at = toNumber(value.timestamp) || this.#clock.now()
    const raw = plain(value)
    const taking = this.#inOrder(() => this.#take(bareJid(chat), change, at, fromFull, raw))
    taking.catch((error: unknown) => {
      if (!isStorageFailure(error)) void this.#inOrder(() => this.#putAside(index, raw, error)).catch(() => undefined)
    })
  }

  /** Resolves when everything heard so far is stored, or put aside. @throws when the storage could not take it */
  async settled(): Promise<void> {
    let last: Promise<void> | undefined
    // what could not be stored is put aside behind it
    while (last !== this.#tail) {
      last = this.#tail
      await last
    }
  }

  /** Settles as `work` does. After a failure of the storage nothing more is done: what comes later must not be stored either. */
  #inOrder(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(work)
    this.#tail = done.catch((error: unknown) => {
      if (isStorageFailure(error)) throw error
    })
    this.#tail.catch(() => undefined)
    return done
  }

  async #putAside(index: readonly string[], raw: ChatChangeOccurrence['raw'], error: unknown): Promise<void> {
    const stanza = Buffer.from(JSON.stringify({ index, raw }))
    const key = createHash('sha256').update(stanza).digest('base64url')
    this.#logger.error({ reason: messageOf(error) }, 'a change of a chat on another device could not be stored')
    // it would not come again before the next change anyway, and the database would refuse it again
    await this.#failures.note(this.#deviceId, { key, tag: 'app-state', error: messageOf(error), stanza }, 1)
  }

  async #take(
    chat: string,
    change: ChatChange,
    at: number,
    fromFull: boolean,
    raw: ChatChangeOccurrence['raw'],
  ): Promise<void> {
    const { me } = this.#sock.authState.creds
    const self = { pn: jidNormalizedUser(me?.id), lid: me?.lid ? jidNormalizedUser(me.lid) : undefined }
    const digest = createHash('sha256').update(JSON.stringify(change)).digest('base64url').slice(0, 22)
    await this.#intake(this.#deviceId, {
      kind: 'chat_change',
      key: `c:${boundId(chat)}:${at}:${digest}`,
      chat: boundId(chat),
      chatParty: await this.#partyOf(chat),
      sender: self.pn,
      senderParty: self,
      fromMe: true,
      isGroup: kindOfJid(chat) === 'group',
      timestamp: Math.floor(at / 1000),
      change,
      at,
      fromFull,
      raw,
    })
  }

  async #partyOf(chat: string) {
    if (kindOfJid(chat) === 'lid') return { lid: chat, pn: await this.#lidMap.storedPn(chat) }
    if (kindOfJid(chat) === 'pn') return { pn: chat, lid: await this.#lidMap.storedLid(chat) }
    return undefined
  }

  async #upload(patch: WAPatchCreate): Promise<void> {
    for (let tries = 1; tries <= MOST_TRIES; tries++) if (await this.#tryUpload(patch)) return
    throw new ParleyError('conflict', 'other devices of the account kept changing chats at the same time')
  }

  /** False when another device was quicker. */
  async #tryUpload(patch: WAPatchCreate): Promise<boolean> {
    const { authState } = this.#sock
    const { myAppStateKeyId, me } = authState.creds
    if (!myAppStateKeyId)
      throw new ParleyError('conflict', 'the phone has not shared the keys for its chats yet; try again in a moment')
    const name = patch.type
    try {
      return await authState.keys.transaction(async () => {
        await this.#sock.resyncAppState([name], false)
        // what is built on a state that does not verify would be refused by all other devices
        if (this.#takeRefusal(name))
          throw new ParleyError('conflict', 'the chats of the account do not verify; try again in a moment')
        const { [name]: stored } = await authState.keys.get('app-state-sync-version', [name])
        const before = stored ? ensureLTHashStateVersion(stored) : newLTHashState()
        const { patch: encoded, state } = await encodeSyncdPatch(patch, myAppStateKeyId, before, async (keyId) => {
          const { [keyId]: key } = await authState.keys.get('app-state-sync-key', [keyId])
          return key
        })
        const answer = orTimeout(await this.#sock.query(uploadNode(name, before.version, encoded)), 'changing a chat')
        const code = refusalOf(answer)
        if (code === 409) return false
        if (code !== undefined)
          throw new ParleyError('whatsapp_refused', `WhatsApp refused the change (${code})`, {
            data: { whatsapp_code: code },
          })
        await authState.keys.set({ 'app-state-sync-version': { [name]: state } })
        return true
      }, me?.id ?? 'chat-change')
    } catch (error) {
      throw toEngineError(error, 'changing a chat')
    }
  }
}

const uploadNode = (name: string, version: number, patch: proto.ISyncdPatch): BinaryNode => ({
  tag: 'iq',
  attrs: { to: 's.whatsapp.net', type: 'set', xmlns: 'w:sync:app:state' },
  content: [
    {
      tag: 'sync',
      attrs: {},
      content: [
        {
          tag: 'collection',
          attrs: { name, version: String(version), return_snapshot: 'false' },
          content: [{ tag: 'patch', attrs: {}, content: proto.SyncdPatch.encode(patch).finish() }],
        },
      ],
    },
  ],
})

const refusalOf = (answer: BinaryNode): number | undefined => {
  const collection = getBinaryNodeChild(getBinaryNodeChild(answer, 'sync'), 'collection')
  if (collection?.attrs.type !== 'error') return undefined
  return Number(getBinaryNodeChild(collection, 'error')?.attrs.code) || 500
}

const modificationOf = (chat: string, change: ChatChange, last: readonly CoveredMessage[]): ChatModification => {
  const lastMessages = last.map(({ messageId, sender, fromMe, timestamp }) => ({
    key: {
      remoteJid: chat,
      id: messageId,
      fromMe,
      ...(kindOfJid(chat) === 'group' && !fromMe ? { participant: sender } : {}),
    } as WAMessageKey,
    messageTimestamp: timestamp,
  }))
  switch (change.kind) {
    case 'archive':
      return { archive: change.archived, lastMessages }
    case 'pin':
      return { pin: change.pinned }
    case 'mute':
      return { mute: change.until ?? null }
    case 'mark_read':
      return { markRead: change.read, lastMessages }
    case 'delete':
      return { delete: true, lastMessages }
    case 'clear':
      return { clear: true, lastMessages }
    case 'star': {
      const { messageId, fromMe } = change.message
      return { star: { messages: [{ id: messageId, fromMe }], star: change.starred } }
    }
    case 'delete_for_me': {
      const { messageId, fromMe } = change.message
      const key = { remoteJid: chat, id: messageId, fromMe }
      return { deleteForMe: { key, timestamp: last[0]?.timestamp ?? 0, deleteMedia: change.deleteMedia } }
    }
  }
}

const readChange = (type: string, index: readonly string[], value: proto.ISyncActionValue): ChatChange | undefined => {
  switch (type) {
    case 'mute': {
      if (!value.muteAction?.muted) return { kind: 'mute', until: undefined }
      const until = toNumber(value.muteAction.muteEndTimestamp)
      return { kind: 'mute', until: until > 0 ? until : -1 }
    }
    case 'archive':
      return { kind: 'archive', archived: value.archiveChatAction?.archived === true }
    case 'pin_v1':
      return { kind: 'pin', pinned: value.pinAction?.pinned === true }
    case 'markChatAsRead':
      return { kind: 'mark_read', read: value.markChatAsReadAction?.read === true }
    case 'deleteChat':
      return { kind: 'delete', deleteMedia: index[2] === '1' }
    case 'clearChat':
      return { kind: 'clear', deleteMedia: index[3] === '1' }
    case 'star':
      return index[2] ? { kind: 'star', message: named(index), starred: value.starAction?.starred === true } : undefined
    case 'deleteMessageForMe':
      return index[2]
        ? {
            kind: 'delete_for_me',
            message: named(index),
            deleteMedia: value.deleteMessageForMeAction?.deleteMedia === true,
          }
        : undefined
    default:
      return undefined
  }
}

const named = ([, , id, fromMe, sender]: readonly string[]): ChangedMessage => ({
  messageId: boundId(id ?? ''),
  fromMe: fromMe === '1',
  ...(sender?.includes('@') ? { sender: jidNormalizedUser(sender) } : {}),
})

const plain = (value: proto.ISyncActionValue): Readonly<Record<string, unknown>> =>
  proto.SyncActionValue.toObject(proto.SyncActionValue.fromObject(value), {
    longs: Number,
    enums: String,
    bytes: String,
  })
