import type { EngineSignal } from '../engine/index.ts'
import { kindOfJid } from '../kernel/jid.ts'
import type { IdentityRepository, KnownChat, KnownParty, MessageRow } from '../storage/index.ts'

type Names = Partial<Pick<KnownParty, 'pn' | 'lid'>>

/** Both names of a person called `jid`; a name tells its own kind where nobody is known by it. */
export const namesOf = (jid: string, party: Names | undefined) => {
  const kind = kindOfJid(jid)
  return {
    pn: party?.pn ?? (kind === 'pn' ? jid : null),
    lid: party?.lid ?? (kind === 'lid' ? jid : null),
  }
}

/** The fields that every payload about a chat has, without its conversation. */
export const chatFieldsOf = (chat: string, party: Names | undefined) => {
  const { pn, lid } = namesOf(chat, party)
  return { chat, chat_pn: pn, chat_lid: lid, is_group: kindOfJid(chat) === 'group' }
}

/** The fields of a person named as `from`. */
export const personFieldsOf = (jid: string, party: (Names & { readonly contactId?: string }) | undefined) => {
  const { pn, lid } = namesOf(jid, party)
  return { from: jid, from_pn: pn, from_lid: lid, contact_id: party?.contactId ?? null }
}

/** Chat and author of a stored message. */
export const fieldsOfMessage = async (
  row: Pick<MessageRow, 'deviceId' | 'chat' | 'conversationId' | 'sender' | 'fromMe'>,
  identities: IdentityRepository,
) => {
  const [chat, author] = await Promise.all([
    identities.chat(row.deviceId, row.chat),
    identities.person(row.deviceId, row.sender),
  ])
  return {
    ...chatFieldsOf(row.chat, chat.party),
    conversation_id: row.conversationId,
    ...personFieldsOf(row.sender, author),
    is_from_me: row.fromMe,
  }
}

/** Who is meant by a signal, as far as storage knows. */
export interface SignalIdentity {
  readonly chat: KnownChat
  /** Who acted. */
  readonly person: KnownParty | undefined
}

const NOBODY: SignalIdentity = { chat: { conversationId: undefined, party: undefined }, person: undefined }

/** Looks up whom a signal names. @throws storage_unavailable */
export const identityOfSignal = async (
  signal: EngineSignal,
  deviceId: string,
  identities: IdentityRepository,
): Promise<SignalIdentity> => {
  /** Under the name that was given, or the other one. */
  const chatOf = async (jid: string, names: Names): Promise<KnownChat> => {
    const chat = await identities.chat(deviceId, jid)
    const other = jid === names.lid ? names.pn : names.lid
    return chat.party || other === undefined ? chat : identities.chat(deviceId, other)
  }
  switch (signal.type) {
    case 'presence': {
      const chat = await chatOf(signal.jid, signal)
      return { chat, person: chat.party }
    }
    case 'chat_presence': {
      if (!signal.isGroup) {
        const chat = await chatOf(signal.chat, signal)
        return { chat, person: chat.party }
      }
      const { party } = await chatOf(signal.sender, signal)
      return { chat: await identities.chat(deviceId, signal.chat), person: party }
    }
    case 'media_retry': {
      const chat = await identities.chat(deviceId, signal.chat)
      const { sender } = signal
      return {
        chat,
        person: sender === undefined || sender === signal.chat ? chat.party : await identities.person(deviceId, sender),
      }
    }
    default:
      return NOBODY
  }
}
