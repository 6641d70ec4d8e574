import { hmacSha256, sha256 } from '../../crypto/symmetric.ts'
import { type BinaryNode, children, node, textOf } from '../../wire/node.ts'
import type { Account, Device } from '../account.ts'
import type { Mailroom } from '../mailroom.ts'
import type { IqHandler, IqHandlers } from './iq-router.ts'

const PRIVACY_DEFAULTS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    readreceipts: 'all',
    last: 'all',
    online: 'all',
    profile: 'all',
    status: 'all',
    groupadd: 'all',
    calladd: 'all',
    messages: 'all',
    defense: 'off',
  }),
)

/** Keys the tokens that let a contact write to whom it does not know yet; only this service ever reads them. */
const TOKEN_KEY = Buffer.from('sandbox privacy tokens')

const getPrivacy: IqHandler = ({ device, result }) => result([privacyNode(device.account)])

const setPrivacy: IqHandler = ({ device, request, result, error }) => {
  const categories = children(request, 'category')
  const unknown = categories.find(({ attrs }) => !PRIVACY_DEFAULTS.has(attrs.name ?? '') || !attrs.value)
  if (categories.length === 0 || unknown !== undefined) return error(400, `unknown category ${unknown?.attrs.name}`)
  for (const { attrs } of categories) device.account.privacy.set(attrs.name!, attrs.value!)
  return result([privacyNode(device.account)])
}

/** Issues a token to each contact named: the contact, not the issuer, is told the bytes. */
const setTokens: IqHandler = ({ device, request, context, result, error }) => {
  const tokens = children(request, 'token')
  if (tokens.length === 0) return error(400, 'no token')
  const issuer = device.account
  const from = { from: issuer.jid, sender_lid: issuer.lidJid, t: Math.floor(context.clock() / 1000) }
  for (const { attrs } of tokens) {
    const contact = context.accounts.byJid(attrs.jid)
    if (contact === undefined || attrs.type !== 'trusted_contact' || !/^\d+$/.test(attrs.t ?? '')) {
      return error(400, `malformed token for ${attrs.jid}`)
    }
    const token = hmacSha256(TOKEN_KEY, Buffer.from(`${issuer.lid} ${contact.lid} ${attrs.t}`)).subarray(0, 16)
    const content = [node('tokens', {}, [node('token', { type: 'trusted_contact', t: attrs.t }, token)])]
    for (const target of contact.devices.values()) {
      context.mailroom.notify(target, 'privacy_token', from, content)
    }
  }
  return result()
}

const getBlocklist: IqHandler = ({ device, result }) => result([blocklistNode(device.account)])

const setBlocklist: IqHandler = ({ device, request, context, result, error }) => {
  const { jid, action } = request.attrs
  const target = context.accounts.byJid(jid)
  if (target === undefined || target === device.account) return error(400, `cannot block ${jid}`)
  if (action === 'block') device.account.blocked.add(target.lid)
  else if (action === 'unblock') device.account.blocked.delete(target.lid)
  else return error(400, `unknown action ${action}`)
  result([blocklistNode(device.account)])
  const t = Math.floor(context.clock() / 1000)
  const content = [node('blocklist', { action: 'modify' }, [node('item', { jid: target.lidJid, action })])]
  for (const other of device.account.devices.values()) {
    if (other !== device) context.mailroom.notify(other, 'account_sync', { from: device.account.jid, t }, content)
  }
}

const setAbout: IqHandler = ({ device, request, result, error }) => {
  const about = textOf(request) ?? ''
  if (about.length > 139) return error(406, 'an about text has at most 139 characters')
  device.account.about = about
  return result()
}

const setDisappearingMode: IqHandler = ({ device, request, context, result, error }) => {
  if (!/^\d+$/.test(request.attrs.duration ?? '')) return error(400, 'duration must be seconds')
  result()
  setDefaultTimer(device, Number(request.attrs.duration), context)
}

/** Sets after how long messages of new chats disappear, and tells the account's other devices. */
export function setDefaultTimer(
  device: Device,
  duration: number,
  { clock, mailroom }: { readonly clock: () => number; readonly mailroom: Mailroom },
): void {
  const t = Math.floor(clock() / 1000)
  device.account.defaultTimer = { duration, t }
  for (const other of device.account.devices.values()) {
    if (other === device) continue
    mailroom.notify(other, 'account_sync', { from: device.account.jid, t }, [
      node('disappearing_mode', { duration, t }),
    ])
  }
}

/** Nobody has a picture yet. */
const getPicture: IqHandler = ({ decline }) => decline(404, 'item-not-found')

export const accountHandlers: IqHandlers = {
  'privacy get privacy': getPrivacy,
  'privacy set privacy': setPrivacy,
  'privacy set tokens': setTokens,
  'blocklist get ': getBlocklist,
  'blocklist get list': getBlocklist,
  'blocklist set item': setBlocklist,
  'status set status': setAbout,
  'disappearing_mode set disappearing_mode': setDisappearingMode,
  'w:profile:picture get picture': getPicture,
}

function privacyNode(account: Account): BinaryNode {
  const categories = Array.from(PRIVACY_DEFAULTS, ([name, value]) =>
    node('category', { name, value: account.privacy.get(name) ?? value }),
  )
  return node('privacy', {}, categories)
}

function blocklistNode(account: Account): BinaryNode {
  const lids = [...account.blocked].sort()
  const dhash = sha256(Buffer.from(lids.join(',')))
    .toString('base64url')
    .slice(0, 16)
  return node(
    'list',
    { dhash },
    lids.map((lid) => node('item', { jid: `${lid}@lid` })),
  )
}
