// What a phone does for its own companions: keys and chats at their first login, and answers to what they ask for.
import { proto } from 'baileys/WAProto/index.js'
import type { MediaDepot } from '../media/media-depot.ts'
import { isGroup } from '../wire/jid.ts'
import { encode } from './adv.ts'
import type { PhoneMessage } from './entries.ts'
import {
  type Acquaintance,
  type AppStateKey,
  type ChatHistory,
  describeHistory,
  describeOlder,
  makeAppStateKey,
  shareAppStateKeys,
} from './history.ts'
import { unwrap } from './message-content.ts'
import type { SignalAddress } from './signal-endpoint.ts'

export interface CompanionCareOptions {
  readonly messages: () => readonly PhoneMessage[]
  readonly acquaintances: () => readonly Acquaintance[]
  /** The LID of a person by any of their addresses; a group stays what it is. */
  readonly canonicalChat: (jid: string) => string
  /** Where history goes that is not to travel inside messages. */
  readonly media: Pick<MediaDepot, 'place'>
  readonly send: (companion: SignalAddress, message: proto.Message.IProtocolMessage) => Promise<void>
  /** Milliseconds since 1970. */
  readonly now: number
  /** The keys of an earlier process, oldest first; a new one is made when absent. */
  readonly appStateKeys?: readonly AppStateKey[]
}

const HISTORY_PER_CHAT = 20

export class CompanionCare {
  readonly #options: CompanionCareOptions
  readonly #appStateKeys: readonly AppStateKey[]

  constructor(options: CompanionCareOptions) {
    this.#options = options
    this.#appStateKeys = options.appStateKeys ?? [makeAppStateKey(options.now)]
  }

  get appStateKeys(): readonly AppStateKey[] {
    return this.#appStateKeys
  }

  async welcome(companion: SignalAddress): Promise<void> {
    const { send, acquaintances } = this.#options
    await send(companion, shareAppStateKeys(this.#appStateKeys))
    for (const message of describeHistory(this.#chats(), acquaintances(), this.#place)) await send(companion, message)
  }

  /** Answers a request for app state keys, for older messages, or for a message the companion could not read. */
  async answer(companion: SignalAddress, requestId: string, message: proto.IMessage): Promise<void> {
    const { send } = this.#options
    const protocol = unwrap(message).protocolMessage
    const request = protocol?.peerDataOperationRequestMessage
    const keyIds = protocol?.appStateSyncKeyRequest?.keyIds?.map(({ keyId }) => Buffer.from(keyId ?? []))
    if (keyIds !== undefined) {
      const found = this.#appStateKeys.filter(({ id }) => keyIds.some((keyId) => keyId.equals(id)))
      await send(companion, shareAppStateKeys(found))
    }
    const older = request?.historySyncOnDemandRequest
    if (older?.chatJid) await send(companion, describeOlder(this.#olderThan(older), requestId, this.#place))
    const wanted = request?.placeholderMessageResendRequest ?? []
    if (wanted.length > 0) await send(companion, this.#resend(requestId, wanted))
  }

  readonly #place = (payload: Buffer) => this.#options.media.place('md-msg-hist', payload)

  #resend(
    stanzaId: string,
    wanted: readonly proto.Message.PeerDataOperationRequestMessage.IPlaceholderMessageResendRequest[],
  ): proto.Message.IProtocolMessage {
    const ids = new Set(wanted.map(({ messageKey }) => messageKey?.id))
    const found = this.#options.messages().filter(({ messageId }) => ids.has(messageId))
    return {
      type: proto.Message.ProtocolMessage.Type.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE,
      peerDataOperationRequestResponseMessage: {
        peerDataOperationRequestType: proto.Message.PeerDataOperationRequestType.PLACEHOLDER_MESSAGE_RESEND,
        stanzaId,
        peerDataOperationResult: found.map((message) => ({
          placeholderMessageResendResponse: {
            webMessageInfoBytes: encode(proto.WebMessageInfo, describeMessage(message)),
          },
        })),
      },
    }
  }

  #chats(): ChatHistory[] {
    const chats = new Set(this.#options.messages().map(({ chat }) => chat))
    return Array.from(chats, (chat) => this.#chat(chat))
  }

  #olderThan(request: proto.Message.PeerDataOperationRequestMessage.IHistorySyncOnDemandRequest): ChatHistory {
    const jid = this.#options.canonicalChat(request.chatJid!)
    const messages = this.#options.messages().filter(({ chat }) => chat === jid)
    const end = messages.findIndex(({ messageId }) => messageId === request.oldestMsgId)
    const before = messages.slice(0, end === -1 ? 0 : end)
    const count = Math.max(1, request.onDemandMsgCount ?? HISTORY_PER_CHAT)
    return { jid, name: undefined, messages: before.slice(-count).reverse().map(describeMessage) }
  }

  #chat(jid: string): ChatHistory {
    const messages = this.#options.messages().filter(({ chat }) => chat === jid)
    const other = messages.find(({ fromMe, pushName }) => !fromMe && pushName !== undefined)
    return {
      jid,
      name: isGroup(jid) ? undefined : other?.pushName,
      messages: messages.slice(-HISTORY_PER_CHAT).reverse().map(describeMessage),
    }
  }
}

function describeMessage(message: PhoneMessage): proto.IWebMessageInfo {
  const { messageId, chat, fromMe, from, timestamp, pushName, content } = message
  const participant = isGroup(chat) && !fromMe ? { participant: from.lidJid } : {}
  return {
    key: { remoteJid: chat, fromMe, id: messageId, ...participant },
    message: content,
    messageTimestamp: timestamp,
    ...(pushName !== undefined && { pushName }),
  }
}
