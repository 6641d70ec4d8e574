import type { Account, Device } from './account.ts'

/** How the other side's clients see a device: by the address its account is known by, with the other one beside it. */
export function senderAttrs(device: Device, to: Account): Readonly<Record<string, string>> {
  const { account } = device
  return to.addressing === 'lid'
    ? { from: device.lid, addressing_mode: 'lid', sender_pn: account.jid }
    : { from: device.jid, addressing_mode: 'pn', sender_lid: account.lidJid }
}

/** The same for a copy among an account's own devices: the chat is the recipient's. */
export function ownCopyAttrs(device: Device, chat: Account): Readonly<Record<string, string>> {
  return device.account.addressing === 'lid'
    ? {
        from: device.lid,
        recipient: chat.lidJid,
        addressing_mode: 'lid',
        peer_recipient_pn: chat.jid,
        recipient_pn: chat.jid,
      }
    : {
        from: device.jid,
        recipient: chat.jid,
        addressing_mode: 'pn',
        peer_recipient_lid: chat.lidJid,
        recipient_lid: chat.lidJid,
      }
}

/** An account's address as `viewer` is shown it. */
export function addressFor(account: Account, viewer: Account): string {
  return viewer.addressing === 'lid' ? account.lidJid : account.jid
}
