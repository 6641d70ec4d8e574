// Every stanza from the service, checked against what WhatsApp sends: attributes present, well-formed, and no others.
import type { Account } from './installation.ts'
import { dataOf, isGroup, part, partsOf, personOf, SERVICE, type Stanza } from './stanza.ts'
import { demand } from './violation.ts'

const ID = /^[\w.@/+=-]{1,128}$/
const NUMBER = /^\d+$/
const PN = /^\d{7,15}@s\.whatsapp\.net$/
const PN_DEVICE = /^\d{7,15}(:\d{1,2})?@s\.whatsapp\.net$/
const LID = /^\d{10,15}@lid$/
const LID_DEVICE = /^\d{10,15}(:\d{1,2})?@lid$/
const PERSON_DEVICE = /^\d{7,15}(:\d{1,2})?@(s\.whatsapp\.net|lid)$/
const GROUP = /^\d{10,20}@g\.us$/
const WORD = /^[a-z][a-z_-]*$/
const ANY = /^.+$/s

/** By attribute: what it must look like. A question mark: it may be absent. */
type Rules = Readonly<Record<string, RegExp>>

/** How far the service's clock may be off, in seconds. */
const CLOCK_TOLERANCE = 60
const OLDEST = 14 * 86_400

/** @throws Violation `stanza` */
export function inspect(stanza: Stanza, account: Account | undefined): void {
  const rules = RULES[stanza.tag]
  demand(rules !== undefined, 'stanza', `no client knows <${stanza.tag}>`)
  rules(stanza, account)
  if (stanza.attrs.t === undefined) return
  const age = Date.now() / 1000 - Number(stanza.attrs.t)
  demand(age < OLDEST && age > -CLOCK_TOLERANCE, 'stanza', `<${stanza.tag}> of t ${stanza.attrs.t}`)
}

const RULES: Readonly<Record<string, (stanza: Stanza, account: Account | undefined) => void>> = {
  message: inspectMessage,
  receipt: inspectReceipt,
  notification: inspectNotification,
  iq: inspectIq,
  ack(stanza) {
    const common = { class: WORD, id: ID, from: ANY, 'participant?': PERSON_DEVICE, 'error?': NUMBER }
    const own = stanza.attrs.class === 'message' ? { t: NUMBER, 'phash?': ANY } : { 'type?': WORD, 't?': NUMBER }
    check(stanza, { ...common, ...own })
  },
  success: (stanza) =>
    check(stanza, {
      t: NUMBER,
      props: NUMBER,
      abprops: NUMBER,
      lid: LID_DEVICE,
      location: WORD,
      creation: NUMBER,
      'display_name?': ANY,
      'companion_enc_static?': ANY,
    }),
  failure: (stanza) => check(stanza, { reason: NUMBER, location: WORD, 'expire?': NUMBER }),
  'stream:error'(stanza) {
    check(stanza, { 'code?': NUMBER })
    const conflict = part(stanza, 'conflict')
    demand(conflict !== undefined || stanza.attrs.code !== undefined, 'stanza', 'a stream error without a reason')
    if (conflict !== undefined) check(conflict, { type: /^(replaced|device_removed)$/ })
  },
  xmlstreamend: (stanza) => check(stanza, {}),
  ib(stanza) {
    check(stanza, { from: exactly(SERVICE) })
    const content = part(stanza)
    demand(content !== undefined, 'stanza', 'an empty <ib>')
    if (content.tag === 'offline') check(content, { count: NUMBER })
    else if (content.tag === 'dirty') check(content, { type: WORD, timestamp: NUMBER })
    else demand(content.tag === 'offline_preview', 'stanza', `<ib> with <${content.tag}>`)
  },
  presence: (stanza) =>
    check(stanza, { from: /@(s\.whatsapp\.net|lid|g\.us)$/, 'type?': /^unavailable$/, 'last?': /^(\d+|deny)$/ }),
  chatstate(stanza) {
    const group = isGroup(stanza.attrs.from)
    check(stanza, group ? { from: GROUP, participant: PERSON_DEVICE } : { from: PERSON_DEVICE })
    demand(/^(composing|paused)$/.test(part(stanza)?.tag ?? ''), 'stanza', 'a chatstate without state')
  },
  call: (stanza) => check(stanza, { from: PERSON_DEVICE, id: ID, t: NUMBER, 'caller_pn?': PN }),
}

const MESSAGE: Rules = {
  id: ID,
  t: NUMBER,
  type: /^(text|media|reaction|poll|event|medianotify)$/,
  'notify?': ANY,
  'offline?': NUMBER,
  'edit?': NUMBER,
  'expiration?': NUMBER,
}

function inspectMessage(stanza: Stanza, account: Account | undefined): void {
  const { from = '', category } = stanza.attrs
  demand(account !== undefined, 'stanza', 'a message for a client that is nobody')
  const own = [account.jid, account.lid].some((jid) => personOf(jid) === personOf(from))
  if (from === 'status@broadcast' || isGroup(from)) {
    const named = { participant: LID_DEVICE, participant_pn: PN, addressing_mode: exactly('lid') }
    check(stanza, { ...MESSAGE, from: /^(status@broadcast|\d+@g\.us)$/, ...named })
    demand(stanza.attrs.participant !== account.lid, 'stanza', 'our own message came back')
  } else if (category !== undefined) {
    const peer = { category: exactly('peer'), from: PN_DEVICE, 'push_priority?': WORD }
    check(stanza, { ...MESSAGE, ...peer })
    demand(own, 'stanza', 'a peer message of another account')
  } else if (own) {
    const chat = { recipient: LID, recipient_pn: PN, peer_recipient_pn: PN }
    check(stanza, { ...MESSAGE, from: LID_DEVICE, addressing_mode: exactly('lid'), ...chat })
    demand(from !== account.lid, 'stanza', 'our own message came back')
  } else {
    check(stanza, { ...MESSAGE, from: LID_DEVICE, addressing_mode: exactly('lid'), sender_pn: PN })
  }
  inspectPayload(stanza)
}

const ENC: Rules = { v: exactly('2'), type: /^(pkmsg|msg|skmsg)$/, 'count?': NUMBER, 'mediatype?': WORD }

function inspectPayload(stanza: Stanza): void {
  const known = new Set(['enc', 'device-identity', 'meta', 'biz', 'bot'])
  for (const { tag } of partsOf(stanza)) demand(known.has(tag), 'stanza', `a message with <${tag}>`)
  const encs = partsOf(stanza, 'enc')
  for (const enc of encs) {
    check(enc, ENC)
    demand(dataOf(enc).length > 0, 'stanza', 'an empty enc')
  }
  const types = encs.map(({ attrs }) => attrs.type)
  const shared = types.filter((type) => type === 'skmsg').length
  const inGroup = isGroup(stanza.attrs.from) || stanza.attrs.from === 'status@broadcast'
  demand(types.length > 0 && shared <= 1 && types.length - shared <= 1, 'stanza', `a message with encs ${types}`)
  demand(inGroup || shared === 0, 'stanza', 'a sender key message outside of groups')
  // Only companions need their account's word, and only where a session begins.
  const author = stanza.attrs.participant ?? stanza.attrs.from
  const vouched = types.includes('pkmsg') && /:\d+@/.test(author ?? '')
  demand(partsOf(stanza, 'device-identity').length === (vouched ? 1 : 0), 'stanza', 'device-identity beside a pkmsg')
}

const RECEIPT_TYPE = /^(inactive|read|read-self|played|played-self|sender|peer_msg|hist_sync|retry|server-error)$/

function inspectReceipt(stanza: Stanza): void {
  const common: Rules = { id: ID, t: NUMBER, 'type?': RECEIPT_TYPE, 'offline?': NUMBER }
  if (isGroup(stanza.attrs.from)) check(stanza, { ...common, from: GROUP, participant: LID_DEVICE })
  else {
    check(stanza, {
      ...common,
      from: LID_DEVICE,
      'recipient?': /@(s\.whatsapp\.net|lid|g\.us)$/,
      'sender_pn?': PN,
    })
  }
  for (const item of partsOf(part(stanza, 'list'), 'item')) check(item, { id: ID })
  if (stanza.attrs.type !== 'retry') return
  const { id, t: _t, ...rest } = part(stanza, 'retry')?.attrs ?? {}
  demand(id === stanza.attrs.id && NUMBER.test(rest.count ?? ''), 'stanza', 'a retry without count or id')
  demand(dataOf(part(stanza, 'registration')).length === 4, 'stanza', 'a retry without registration')
}

const NOTIFICATIONS: Readonly<Record<string, Rules>> = {
  encrypt: { from: exactly(SERVICE) },
  link_code_companion_reg: { from: exactly(SERVICE) },
  passkey_prologue_request: { from: exactly(SERVICE) },
  devices: { from: PN, lid: LID },
  account_sync: { from: PN, 'lid?': LID },
  server_sync: { from: PN },
  privacy_token: { from: PN, sender_lid: LID },
  picture: { from: PERSON_DEVICE },
  mediaretry: { from: PERSON_DEVICE },
  'w:gp2': {
    from: GROUP,
    participant: LID_DEVICE,
    participant_pn: PN,
    addressing_mode: exactly('lid'),
    'notify?': ANY,
  },
}

function inspectNotification(stanza: Stanza): void {
  const { type = '' } = stanza.attrs
  const rules = NOTIFICATIONS[type]
  demand(rules !== undefined, 'stanza', `a notification of type ${type}`)
  check(stanza, { id: ID, type: ANY, t: NUMBER, 'offline?': NUMBER, ...rules })
  demand(partsOf(stanza).length > 0, 'stanza', `an empty notification ${type}`)
}

function inspectIq(stanza: Stanza): void {
  const { type = '' } = stanza.attrs
  if (type === 'get' || type === 'set') {
    check(stanza, { id: ID, type: WORD, xmlns: /^[a-z:]+$/, from: exactly(SERVICE), 't?': NUMBER })
    return
  }
  check(stanza, { id: ID, type: /^(result|error)$/, from: /@(s\.whatsapp\.net|g\.us)$/, 't?': NUMBER })
  if (type !== 'error') return
  const error = part(stanza, 'error')
  demand(error !== undefined, 'stanza', 'an iq error without error')
  check(error, { code: NUMBER, text: ANY })
}

/** @throws Violation when an attribute is missing, malformed or not known */
export function check(stanza: Stanza, rules: Rules): void {
  const left = new Set(Object.keys(stanza.attrs))
  for (const [written, pattern] of Object.entries(rules)) {
    const optional = written.endsWith('?')
    const name = optional ? written.slice(0, -1) : written
    const value = stanza.attrs[name]
    left.delete(name)
    demand(value !== undefined || optional, 'stanza', `<${stanza.tag}> without ${name}`)
    demand(value === undefined || pattern.test(value), 'stanza', `<${stanza.tag} ${name}="${value}">`)
  }
  demand(left.size === 0, 'stanza', `<${stanza.tag}> with unknown ${[...left].join(', ')}`)
}

function exactly(text: string): RegExp {
  return new RegExp(`^${text.replaceAll('.', '\\.')}$`)
}
