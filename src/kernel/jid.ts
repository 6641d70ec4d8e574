import { ParleyError } from './errors.ts'

/**
 * JIDs as WhatsApp writes them: `user[:device]@server`. PN = `@s.whatsapp.net` (phone number), LID = `@lid` (linked id),
 * group = `@g.us`, channel = `@newsletter`, broadcast lists and stories = `@broadcast`.
 */
export interface Jid {
  readonly user: string
  /** 0 = the phone, 1.. = companions; absent when the JID means the person. */
  readonly device?: number
  readonly server: string
}

export type JidKind = 'pn' | 'lid' | 'group' | 'newsletter' | 'broadcast' | 'other'

const KINDS: Readonly<Record<string, JidKind>> = {
  's.whatsapp.net': 'pn',
  'c.us': 'pn',
  lid: 'lid',
  'g.us': 'group',
  newsletter: 'newsletter',
  broadcast: 'broadcast',
}

/** Parses without judging the user part; undefined when it is not of the form. */
export const parseJid = (text: string): Jid | undefined => {
  const found = /^([^@:\s]*)(?::(\d{1,5}))?@([a-z0-9.]+)$/i.exec(text)
  if (!found) return undefined
  const server = found[3]!.toLowerCase() === 'c.us' ? 's.whatsapp.net' : found[3]!.toLowerCase()
  return found[2] === undefined ? { user: found[1]!, server } : { user: found[1]!, device: Number(found[2]), server }
}

export const formatJid = ({ user, device, server }: Jid): string =>
  device ? `${user}:${device}@${server}` : `${user}@${server}`

/** The person or chat behind a JID: no device part. */
export const bareJid = (text: string): string => {
  const jid = parseJid(text)
  return jid ? `${jid.user}@${jid.server}` : text
}

export const kindOfJid = (text: string): JidKind => KINDS[parseJid(text)?.server ?? ''] ?? 'other'

/** The phone number's digits of a PN, else undefined. */
export const phoneOfJid = (text: string): string | undefined => {
  const jid = parseJid(text)
  return jid?.server === 's.whatsapp.net' ? jid.user : undefined
}

/** Checks a phone number as callers write it: one leading `+` allowed, 6 to 16 digits, no leading 0. Returns the digits. */
export const parsePhone = (text: string, field: string): string => {
  const digits = text.trim().replace(/^\+/, '')
  if (/^[1-9][0-9]{5,15}$/.test(digits)) return digits
  const why = /^0/.test(digits)
    ? 'starts with 0; write it in international form'
    : /[^0-9]/.test(digits)
      ? 'has characters other than digits'
      : 'must have 6 to 16 digits'
  throw new ParleyError('bad_request', `${field}: the phone number ${why}`, { field })
}

/**
 * The chat a caller means: a JID of a person, group, channel or broadcast, or a bare phone number (which becomes a PN).
 * A group id without server (has a `-`, or 18 digits and more) becomes a group JID, as the original takes it.
 * @throws bad_request naming `field`
 */
export const parseChat = (text: string, field: string): string => {
  const given = text.trim()
  if (given === '') throw new ParleyError('bad_request', `${field}: must not be blank`, { field })
  if (!given.includes('@')) {
    if (/^\d{5,}-\d+$/.test(given) || /^\d{18,}$/.test(given)) return `${given}@g.us`
    return `${parsePhone(given, field)}@s.whatsapp.net`
  }
  const jid = parseJid(given)
  const kind = jid ? kindOfJid(given) : 'other'
  if (!jid || kind === 'other')
    throw new ParleyError('bad_request', `${field}: "${given.slice(0, 80)}" is not a JID`, { field })
  if (kind === 'pn') return `${parsePhone(jid.user, field)}@s.whatsapp.net`
  if (kind === 'lid' && !/^\d{5,20}$/.test(jid.user))
    throw new ParleyError('bad_request', `${field}: not a LID`, { field })
  if (kind === 'group' && !/^\d{5,25}(-\d{5,15})?$/.test(jid.user))
    throw new ParleyError('bad_request', `${field}: not a group JID`, { field })
  if (jid.user === '') throw new ParleyError('bad_request', `${field}: the JID has no user part`, { field })
  return `${jid.user}@${jid.server}`
}
