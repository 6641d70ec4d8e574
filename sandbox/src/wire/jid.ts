/** Who or what an address names: a user of one of the two address spaces, one of its devices, a group, the service. */
export interface Jid {
  readonly user: string
  readonly server: string
  /** 0 is the phone; an address without a device names the user (and, on the wire, also its device 0). */
  readonly device: number
}

/**
 * The service's own address. Written with an empty user it is encoded as a JID pair; as a bare token it would decode
 * to `s.whatsapp.net` and Baileys would ignore, among others, `notification type=encrypt`.
 */
export const SERVICE_JID = '@s.whatsapp.net'

const PATTERN = /^(?:([^@:_]*)(?:_\d+)?(?::(\d{1,5}))?@)?([a-z.]+)$/

/** Splits an address; undefined when it is none. */
export function parseJid(text: string | undefined): Jid | undefined {
  const match = text === undefined ? null : PATTERN.exec(text)
  if (match === null) return undefined
  return { user: match[1] ?? '', server: match[3]!, device: Number(match[2] ?? 0) }
}

/** Writes `user@server`, or `user:device@server` for any device but the phone. */
export function formatJid(user: string, server: string, device = 0): string {
  return device === 0 ? `${user}@${server}` : `${user}:${device}@${server}`
}

export const phoneJid = (pn: string, device = 0): string => formatJid(pn, 's.whatsapp.net', device)
export const lidJid = (lid: string, device = 0): string => formatJid(lid, 'lid', device)

/** The same address without its device. */
export function withoutDevice(jid: string): string {
  const parsed = parseJid(jid)
  return parsed === undefined ? jid : formatJid(parsed.user, parsed.server)
}

export const isGroup = (jid: string): boolean => jid.endsWith('@g.us')
