// How people, messages and devices look in the control API. JSON keys are snake_case.

import type { SeenMedia } from '../phone/album.ts'
import type { PhoneMessage, PhonePresence, PhoneReceipt } from '../phone/entries.ts'
import { unwrap } from '../phone/message-content.ts'
import { factsOf } from '../phone/message-facts.ts'
import type { Person } from '../phone/people.ts'
import type { Account, Device } from '../service/account.ts'
import type { AccountRegistry } from '../service/account-registry.ts'
import { type Group, jidOf } from '../service/groups.ts'
import type { Problem } from '../service/problem-log.ts'
import { isGroup } from '../wire/jid.ts'
import type { ObjectSchema, Schema } from './schema.ts'

const text = { type: 'string' } as const
const optionalText = { type: 'string', nullable: true } as const
const integer = { type: 'integer' } as const
const flag = { type: 'boolean' } as const
const OBJECT = { type: 'object', properties: {} } as const

/** A schema of a reply: every property is always there. */
export function reply(properties: Readonly<Record<string, Schema>>): ObjectSchema {
  return { type: 'object', properties, required: Object.keys(properties) }
}

export const listOf = (items: Schema): Schema => ({ type: 'array', items })

export const DEVICE = reply({
  jid: text,
  lid: text,
  phone: text,
  device: integer,
  connected: { ...flag, description: 'whether the companion has a connection now' },
  active: { ...flag, description: 'whether it receives (it logged in and said so)' },
  queue_length: { ...integer, description: 'stanzas it has not confirmed yet' },
  pre_keys: { ...integer, description: 'one-time pre-keys left at the service' },
  key_index: integer,
  os: optionalText,
})

export function showDevice(device: Device) {
  return {
    jid: device.jid,
    lid: device.lid,
    phone: device.account.pn,
    device: device.id,
    connected: device.online,
    active: device.active,
    queue_length: device.queue.size,
    pre_keys: device.preKeys.size,
    key_index: device.keyIndex,
    os: device.props?.os ?? null,
  }
}

export const PERSON = reply({
  phone: { ...text, description: 'digits, no plus sign' },
  jid: text,
  lid: text,
  name: text,
  passkey: { type: 'string', enum: ['none', 'required', 'required_with_code'] },
  accepts_links: flag,
  max_companions: integer,
  online: { ...flag, description: "whether the person's phone has a network" },
  companions: listOf(DEVICE),
})

export function showPerson({ account, phone, linking }: Person) {
  return {
    phone: account.pn,
    jid: account.jid,
    lid: account.lidJid,
    name: account.pushName,
    passkey: linking.passkey,
    accepts_links: linking.accepts,
    max_companions: account.maxCompanions,
    online: phone.online,
    companions: account.companions.map(showDevice),
  }
}

const optionalInteger = { type: 'integer', nullable: true } as const

export const MEDIA = {
  ...reply({
    kind: { ...text, description: 'image, video, audio, document, sticker' },
    mimetype: text,
    sha256: { ...optionalText, description: 'of the decrypted file, hex; null when it could not be opened' },
    size: integer,
    width: optionalInteger,
    height: optionalInteger,
    seconds: optionalInteger,
    waveform: { type: 'array', items: integer, nullable: true },
    voice_note: flag,
    view_once: flag,
    animated: flag,
    caption: optionalText,
    file_name: optionalText,
    thumbnail_base64: optionalText,
    direct_path: text,
    fault: { ...optionalText, description: 'why it could not be opened' },
  }),
  nullable: true,
} as const

export function showMedia(media: SeenMedia) {
  return {
    kind: media.kind,
    mimetype: media.mimetype,
    sha256: media.sha256?.toString('hex') ?? null,
    size: media.size,
    width: media.width ?? null,
    height: media.height ?? null,
    seconds: media.seconds ?? null,
    waveform: media.waveform ?? null,
    voice_note: media.voiceNote,
    view_once: media.viewOnce,
    animated: media.animated,
    caption: media.caption ?? null,
    file_name: media.fileName ?? null,
    thumbnail_base64: media.thumbnail?.toString('base64') ?? null,
    direct_path: media.directPath,
    fault: media.fault ?? null,
  }
}

const LINK = {
  ...reply({ url: text, title: optionalText, description: optionalText, thumbnail_base64: optionalText }),
  nullable: true,
  description: 'the card of a link',
} as const

function showLink({ content }: PhoneMessage) {
  const { matchedText, title, description, jpegThumbnail } = unwrap(content).extendedTextMessage ?? {}
  if (!matchedText) return null
  return {
    url: matchedText,
    title: title || null,
    description: description || null,
    thumbnail_base64: jpegThumbnail?.length ? Buffer.from(jpegThumbnail).toString('base64') : null,
  }
}

export const MESSAGE = reply({
  seq: integer,
  message_id: text,
  chat: { ...text, description: 'the group, or the other person by phone number' },
  from: { ...text, description: 'phone number of the author' },
  from_pn: text,
  from_lid: text,
  from_device: integer,
  from_me: { ...flag, description: "a copy of what one of the person's own companions sent" },
  group: flag,
  type: { ...text, description: 'text, image, ..., reaction, edit, revoke, unknown' },
  text: optionalText,
  push_name: optionalText,
  quoted_message_id: optionalText,
  target_message_id: { ...optionalText, description: 'what a reaction, an edit or a revoke is about' },
  mentions: listOf(text),
  quoted_text: { ...optionalText, description: 'the text of the quoted message, as it came along' },
  quoted_chat: { ...optionalText, description: 'the group of the quoted message, when it is answered in private' },
  forwarded: flag,
  location: { ...OBJECT, nullable: true, description: 'latitude, longitude, name, address' },
  vcards: listOf(text),
  poll: { ...OBJECT, nullable: true, description: 'question, options, selectable' },
  vote: { ...OBJECT, nullable: true, description: 'poll_id, options: names, null when it does not open' },
  disappearing_seconds: { type: 'integer', nullable: true, description: 'of a change of the timer' },
  expires_after: { type: 'integer', nullable: true, description: 'seconds after which this message disappears' },
  timer_set_at: { type: 'integer', nullable: true, description: 'seconds since 1970, as the message says' },
  timer_by_default: { ...flag, description: "the message begins a chat under its author's default timer" },
  timestamp: { ...integer, description: 'seconds since 1970' },
  copies: { ...integer, description: 'how often it arrived under this id; the person sees one message' },
  media: MEDIA,
  link: LINK,
})

export function showMessage(
  message: PhoneMessage,
  accounts: AccountRegistry,
  find: (id: string) => PhoneMessage | undefined,
) {
  const { from, chat } = message
  return {
    seq: message.seq,
    message_id: message.messageId,
    chat: accounts.byJid(chat)?.jid ?? chat,
    from: from.pn,
    from_pn: from.jid,
    from_lid: from.lidJid,
    from_device: message.fromDevice,
    from_me: message.fromMe,
    group: isGroup(chat),
    type: message.type,
    text: message.text ?? null,
    push_name: message.pushName ?? null,
    quoted_message_id: message.quotedMessageId ?? null,
    target_message_id: message.targetMessageId ?? null,
    ...factsOf(message, find),
    timestamp: message.timestamp,
    copies: message.copies,
    media: message.media === undefined ? null : showMedia(message.media),
    link: showLink(message),
  }
}

export const RECEIPT = reply({
  seq: integer,
  message_id: text,
  from: { ...optionalText, description: 'phone number of the reader' },
  type: { ...text, description: 'delivered, read, played, inactive' },
  timestamp: { ...integer, description: 'seconds since 1970' },
})

export function showReceipt({ seq, messageId, from, type, timestamp }: PhoneReceipt) {
  return { seq, message_id: messageId, from: from?.pn ?? null, type, timestamp }
}

export const PRESENCE = reply({
  seq: integer,
  from: { ...optionalText, description: 'phone number of who is online or types' },
  chat: { ...text, description: 'the group, or the other person by phone number' },
  state: { ...text, description: 'available, unavailable, composing, recording, paused' },
  at: { ...integer, description: 'milliseconds since 1970' },
})

export function showPresence({ seq, from, chat, state, at }: PhonePresence) {
  return { seq, from: from?.pn ?? null, chat: isGroup(chat) ? chat : (from?.jid ?? chat), state, at }
}

export const GROUP = reply({
  jid: text,
  subject: text,
  creator: text,
  participants: listOf(text),
  locked: { ...flag, description: 'only admins change what the group is like' },
  timer: { ...integer, description: 'seconds after which messages disappear; 0 = they stay' },
})

export function showGroup(group: Group) {
  const participants = Array.from(group.members.keys(), ({ pn }: Account) => pn)
  const { subject, creator, locked, timer } = group
  return { jid: jidOf(group), subject, creator: creator.pn, participants, locked, timer }
}

export const PROBLEM = reply({
  seq: integer,
  at: { ...integer, description: 'milliseconds since 1970' },
  from: { ...text, description: 'device address, or a connection that is no device yet' },
  kind: text,
  text,
  stanza: optionalText,
})

export function showProblem({ sequence, at, from, kind, text, stanza }: Problem) {
  return { seq: sequence, at, from, kind, text, stanza: stanza ?? null }
}

export const OK = reply({ ok: flag })
