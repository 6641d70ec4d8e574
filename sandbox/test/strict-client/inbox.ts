// Incoming messages: opened, every signature verified, and confirmed.
import { inflateSync } from 'node:zlib'
import { proto } from 'baileys/WAProto/index.js'
import { verifyDeviceIdentity } from './adv.ts'
import type { Directory } from './directory.ts'
import type { Installation } from './installation.ts'
import { identityIn, type Remote } from './signal-box.ts'
import { addressOf, dataOf, isGroup, part, partsOf, personOf, type Stanza } from './stanza.ts'
import { demand } from './violation.ts'

/** A message as it was opened. */
export interface Received {
  readonly id: string
  /** Group, or the LID of the other person. */
  readonly chat: string
  readonly author: Remote
  readonly fromMe: boolean
  readonly text: string | undefined
  readonly message: proto.IMessage
  readonly stanza: Stanza
}

/** What a phone tells its companions. */
export interface PeerNews {
  readonly keys: number
  readonly history: proto.HistorySync | undefined
}

/** A message id's place, and how its receipt is called: nothing means delivered. */
export type Opened =
  | { readonly kind: 'message'; readonly received: Received; readonly receipt: 'sender' | undefined }
  | { readonly kind: 'peer'; readonly news: PeerNews; readonly receipt: 'peer_msg' | 'hist_sync' }

export class Inbox {
  readonly #own: Installation
  readonly #directory: Directory

  constructor(own: Installation, directory: Directory) {
    this.#own = own
    this.#directory = directory
  }

  /** @throws Violation */
  async open(stanza: Stanza): Promise<Opened> {
    const { id = '', from = '', participant, category, recipient } = stanza.attrs
    const author = this.#authorOf(participant ?? from)
    const message: proto.IMessage = {}
    const encs = [...partsOf(stanza, 'enc')].sort((a, b) => Number(isShared(a)) - Number(isShared(b)))
    for (const enc of encs) Object.assign(message, await this.#openOne(enc, stanza, author))
    const mine = author.user === this.#self
    if (category === 'peer') {
      demand(mine && author.device === 0, 'plaintext', 'a peer message that is not from our phone')
      const news = this.#readPeer(message)
      return { kind: 'peer', news, receipt: news.history === undefined ? 'peer_msg' : 'hist_sync' }
    }
    const { deviceSentMessage } = message
    const inner = deviceSentMessage?.message ?? message
    let chat = isGroup(from) ? from : `${author.user}@lid`
    if (mine && !isGroup(from)) {
      demand(!!deviceSentMessage?.message, 'plaintext', 'a copy of our own that is no DeviceSentMessage')
      const destination = deviceSentMessage.destinationJid ?? ''
      const known = this.#directory.lidOf(destination)
      demand(known === undefined || `${known}@lid` === recipient, 'plaintext', `${destination} is not ${recipient}`)
      chat = recipient!
    } else demand(!deviceSentMessage, 'plaintext', 'a DeviceSentMessage from somebody else')
    const text = inner.conversation ?? inner.extendedTextMessage?.text ?? undefined
    const received = { id, chat, author, fromMe: mine, text, message: inner, stanza }
    return { kind: 'message', received, receipt: mine && !isGroup(from) ? 'sender' : undefined }
  }

  get #self(): string {
    return addressOf(this.#own.own.lid)!.user
  }

  #authorOf(jid: string): Remote {
    const address = addressOf(jid)
    demand(address !== undefined, 'stanza', `a message by ${jid}`)
    const own = personOf(this.#own.own.jid) === personOf(jid)
    return { user: own ? this.#self : (this.#directory.lidOf(jid) ?? address.user), device: address.device }
  }

  async #openOne(enc: Stanza, stanza: Stanza, author: Remote): Promise<proto.IMessage> {
    const { signal } = this.#own
    const body = dataOf(enc)
    const type = enc.attrs.type!
    const group = stanza.attrs.from!
    if (type === 'pkmsg') this.#verifyAuthor(body, stanza, author)
    const plain =
      type === 'skmsg' ? await signal.decryptFromGroup(group, author, body) : await signal.decrypt(author, type, body)
    const message = proto.Message.decode(unpad(plain))
    const key = message.senderKeyDistributionMessage
    if (key) {
      demand(key.groupId === group, 'sender_key', `a key for ${key.groupId} came in ${group}`)
      await signal.learnSenderKey(group, author, key.axolotlSenderKeyDistributionMessage ?? new Uint8Array(0))
    }
    // Only what was set: absent fields of a decoded message live in its prototype.
    return { ...message }
  }

  /** The account's word for a companion that opens a session. @throws Violation */
  #verifyAuthor(body: Buffer, stanza: Stanza, author: Remote): void {
    if (author.device === 0) return
    const identity = identityIn(body)
    const claim = dataOf(part(stanza, 'device-identity'))
    const { accountKey, keyIndex } = verifyDeviceIdentity(claim, identity, Math.floor(Date.now() / 1000))
    this.#directory.pinAccountKey(author.user, accountKey)
    const listed = this.#directory.known(author.user)?.devices.get(author.device)
    demand(listed === undefined || listed === keyIndex, 'adv_details', `key index ${keyIndex}, listed as ${listed}`)
  }

  #readPeer(message: proto.IMessage): PeerNews {
    const { appStateSyncKeyShare, historySyncNotification } = message.protocolMessage ?? {}
    const keys = appStateSyncKeyShare?.keys ?? []
    for (const { keyId, keyData } of keys) {
      const [id, data] = [Buffer.from(keyId?.keyId ?? []), Buffer.from(keyData?.keyData ?? [])]
      demand(id.length === 6 && data.length === 32, 'app_state', 'a malformed app state key')
      this.#own.appStateKeys.set(id.toString('hex'), data)
    }
    const inline = historySyncNotification?.initialHistBootstrapInlinePayload
    const history = inline?.length ? proto.HistorySync.decode(inflateSync(inline)) : undefined
    demand(keys.length > 0 || history !== undefined, 'plaintext', 'a peer message that says nothing')
    if (history !== undefined) {
      const { syncType, chunkOrder, progress } = historySyncNotification!
      demand(Number(history.syncType) === Number(syncType), 'plaintext', `history of type ${history.syncType}`)
      demand(history.chunkOrder === chunkOrder && history.progress === progress, 'plaintext', 'history out of order')
    }
    return { keys: keys.length, history }
  }
}

/** 1 to 16 bytes at the end, each of them their number. @throws Violation `padding` */
function unpad(plain: Uint8Array): Uint8Array {
  const length = plain.at(-1) ?? 0
  demand(length >= 1 && length <= 16 && length <= plain.length, 'padding', `${length} bytes`)
  const padding = plain.subarray(-length)
  demand(
    padding.every((byte) => byte === length),
    'padding',
    'not all bytes alike',
  )
  return plain.subarray(0, -length)
}

const isShared = ({ attrs }: Stanza): boolean => attrs.type === 'skmsg'
