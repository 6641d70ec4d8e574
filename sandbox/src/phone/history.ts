// What a phone tells a companion right after its first login: its app state keys and its chats.
import { randomBytes } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import { proto } from 'baileys/WAProto/index.js'
import type { PlacedBlob } from '../media/media-depot.ts'
import { encode } from './adv.ts'

const { Type } = proto.Message.ProtocolMessage
const { HistorySyncType } = proto.Message

/** A key that encrypts app state; `id` has 6 bytes (device and epoch), `data` 32. */
export interface AppStateKey {
  readonly id: Buffer
  readonly data: Buffer
  readonly rawId: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
}

export function makeAppStateKey(now: number): AppStateKey {
  const id = Buffer.alloc(6)
  id.writeUInt32BE(Math.floor(now / 1000), 2)
  return { id, data: randomBytes(32), rawId: randomBytes(4).readUInt32BE(), timestamp: now }
}

export function shareAppStateKeys(keys: readonly AppStateKey[]): proto.Message.IProtocolMessage {
  return {
    type: Type.APP_STATE_SYNC_KEY_SHARE,
    appStateSyncKeyShare: {
      keys: keys.map(({ id, data, rawId, timestamp }) => ({
        keyId: { keyId: id },
        keyData: { keyData: data, fingerprint: { rawId, currentIndex: 0, deviceIndexes: [0] }, timestamp },
      })),
    },
  }
}

export interface ChatHistory {
  /** The other person's LID, or the group. */
  readonly jid: string
  readonly name: string | undefined
  /** Newest first. */
  readonly messages: readonly proto.IWebMessageInfo[]
}

export interface Acquaintance {
  readonly pn: string
  readonly lid: string
  readonly pushName: string
}

/** Puts history on the media server; undefined where it is to travel inside the message. */
export type Place = (payload: Buffer) => PlacedBlob | undefined

/** The history messages of a first login, in the order they are sent. */
export function describeHistory(
  chats: readonly ChatHistory[],
  acquaintances: readonly Acquaintance[],
  place: Place,
): proto.Message.IProtocolMessage[] {
  const conversations = chats.map(({ jid, name, messages }) => ({
    id: jid,
    ...(name !== undefined && { name }),
    conversationTimestamp: messages[0]?.messageTimestamp ?? 0,
    messages: messages.map((message) => ({ message })),
  }))
  const pnJid = (pn: string) => `${pn}@s.whatsapp.net`
  const phoneNumberToLidMappings = acquaintances.map(({ pn, lid }) => ({ pnJid: pnJid(pn), lidJid: `${lid}@lid` }))
  const pushnames = acquaintances.map(({ pn, pushName }) => ({ id: pnJid(pn), pushname: pushName }))
  return [
    notify({ syncType: HistorySyncType.INITIAL_BOOTSTRAP, conversations, phoneNumberToLidMappings }, 0, 50, place),
    notify({ syncType: HistorySyncType.PUSH_NAME, pushnames }, 1, 80, place),
    notify({ syncType: HistorySyncType.RECENT, conversations: [] }, 2, 100, place),
  ]
}

/** The answer to a companion's request for older messages of one chat. */
export function describeOlder(chat: ChatHistory, requestId: string, place: Place): proto.Message.IProtocolMessage {
  const conversations = [{ id: chat.jid, messages: chat.messages.map((message) => ({ message })) }]
  const older = notify({ syncType: HistorySyncType.ON_DEMAND, conversations }, 0, 100, place)
  return {
    ...older,
    historySyncNotification: { ...older.historySyncNotification, peerDataRequestSessionId: requestId },
  }
}

/** Small enough, history travels inside the message itself and needs no media server. */
function notify(
  sync: Omit<proto.IHistorySync, 'syncType'> & { readonly syncType: proto.Message.HistorySyncType },
  chunkOrder: number,
  progress: number,
  place: Place,
): proto.Message.IProtocolMessage {
  const syncType = sync.syncType as unknown as proto.HistorySync.HistorySyncType
  const payload = deflateSync(encode(proto.HistorySync, { ...sync, syncType, chunkOrder, progress }))
  return {
    type: Type.HISTORY_SYNC_NOTIFICATION,
    historySyncNotification: {
      syncType: sync.syncType,
      chunkOrder,
      progress,
      ...(place(payload) ?? { initialHistBootstrapInlinePayload: payload }),
    },
  }
}
