import { createDevices, type DeviceApi } from '../../scripts/lib/api.ts'
import type { RunningSandbox } from '../../scripts/lib/sandbox.ts'
import type { Chat, Lane } from './ledger.ts'

export interface Person {
  readonly name: string
  readonly phone: string
}

export interface Device {
  readonly name: string
  readonly owner: string
  readonly api: DeviceApi
  /** Its address, e.g. `4915100000001:1@s.whatsapp.net`. */
  readonly jid: string
  readonly webhookId: number
  /** What its webhook is subscribed to. */
  readonly events: readonly string[]
}

/** Everybody who takes part. Grows: see `addNewcomer`. */
export interface Cast {
  readonly people: Map<string, Person>
  readonly devices: readonly Device[]
  readonly lanes: readonly Lane[]
  /** Group addresses by chat name. */
  readonly groups: Map<string, string>
}

const PEOPLE = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eve', 'Finn'] as const
/** Two of the four devices hang on one number. */
const DEVICES = { a1: 'Ada', a2: 'Ada', b1: 'Ben', c1: 'Cleo' } as const
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  family: ['Ada', 'Ben', 'Cleo', 'Dan', 'Eve'],
  club: ['Ada', 'Ben', 'Dan', 'Finn'],
}

/** Who writes where over HTTP; a number after the star: that many callers at once in this chat. */
const API_LANES: Readonly<Record<keyof typeof DEVICES, readonly string[]>> = {
  a1: ['Ben', 'Dan*2', 'family*2', 'club'],
  a2: ['Dan', 'Finn', 'family'],
  b1: ['Ada', 'Eve', 'club*2'],
  c1: ['Eve', 'Ada', 'family'],
}
const PHONE_LANES: Readonly<Record<string, readonly string[]>> = {
  Ada: ['Ben'],
  Cleo: ['family'],
  Dan: ['Ada', 'family', 'Cleo'],
  Eve: ['Ben', 'family'],
  Finn: ['Ada', 'club'],
}

/** Events of the first device come in full, the others' without receipts, which are most of them. */
const EVENTS = ['message.received', 'message.undecryptable', 'message.status', 'connection.*']
const ALL_EVENTS = ['message.*', 'connection.*']

/** Creates people, groups, devices and webhooks, and links the devices. */
export const castAll = async (parts: {
  readonly sandbox: RunningSandbox
  readonly gatewayUrl: string
  readonly adminSecret: string
  readonly receiverUrl: (device: string) => string
}): Promise<Cast> => {
  const { sandbox, gatewayUrl, adminSecret, receiverUrl } = parts
  const people = new Map<string, Person>()
  for (const name of PEOPLE) people.set(name, await createPerson(sandbox, name))
  const groups = new Map<string, string>()
  for (const [subject, members] of Object.entries(GROUPS))
    groups.set(subject, await createGroup(sandbox, people, subject, members))
  const { devices: apis } = await createDevices(gatewayUrl, adminSecret, Object.keys(DEVICES))
  const devices: Device[] = []
  for (const [index, [name, owner]] of Object.entries(DEVICES).entries()) {
    const api = apis[index]!
    const events = index === 0 ? ALL_EVENTS : EVENTS
    const webhook = await api.call<{ webhook_id: number }>('POST', '/webhooks', { url: receiverUrl(name), events })
    const scanned = await sandbox.call<{ device_jid: string }>(
      'POST',
      `/sandbox/people/${people.get(owner)!.phone}/scan`,
      { qr: await api.qrText() },
    )
    await api.untilConnected()
    devices.push({ name, owner, api, jid: scanned.device_jid, webhookId: webhook.data.webhook_id, events })
  }
  return { people, devices, groups, lanes: makeLanes() }
}

/**
 * Somebody whom no device knows yet, and a group that is as new: the first messages to and from both, with fresh keys,
 * meet with the kills like all others. Answers their lanes.
 */
export const addNewcomer = async (sandbox: RunningSandbox, cast: Cast, number: number): Promise<Lane[]> => {
  const name = `Guest ${number}`
  const round = `round ${number}`
  const members = ['Ada', 'Ben', 'Cleo', name]
  cast.people.set(name, await createPerson(sandbox, name))
  cast.groups.set(round, await createGroup(sandbox, cast.people, round, members))
  const group: Chat = { name: round, members }
  const withAda: Chat = { name: `Ada and ${name}`, members: ['Ada', name] }
  return [
    { name: `a1 to ${name}`, chat: withAda, by: 'api', sender: 'a1' },
    { name: `a2 to ${round}`, chat: group, by: 'api', sender: 'a2' },
    { name: `c1 to ${round}`, chat: group, by: 'api', sender: 'c1' },
    { name: `${name} to Ada`, chat: withAda, by: 'phone', sender: name },
    { name: `${name} to ${round}`, chat: group, by: 'phone', sender: name },
  ]
}

const createPerson = async (sandbox: RunningSandbox, name: string): Promise<Person> => {
  const { phone } = await sandbox.call<{ phone: string }>('POST', '/sandbox/people', { name })
  return { name, phone }
}

const createGroup = async (
  sandbox: RunningSandbox,
  people: ReadonlyMap<string, Person>,
  subject: string,
  members: readonly string[],
): Promise<string> => {
  const [creator, ...participants] = members.map((name) => people.get(name)!.phone)
  const { jid } = await sandbox.call<{ jid: string }>('POST', '/sandbox/groups', { subject, creator, participants })
  return jid
}

const makeLanes = (): Lane[] => [
  ...Object.entries(API_LANES).flatMap(([device, chats]) =>
    chats.flatMap((chat) => lanesTo('api', device, DEVICES[device as keyof typeof DEVICES], chat)),
  ),
  ...Object.entries(PHONE_LANES).flatMap(([name, chats]) =>
    chats.flatMap((chat) => lanesTo('phone', name, name, chat)),
  ),
]

const lanesTo = (by: Lane['by'], sender: string, owner: string, description: string): Lane[] => {
  const [name, callers = '1'] = description.split('*') as [string, string?]
  const chat = chatOf(owner, name)
  return Array.from({ length: Number(callers) }, (_, index) => ({
    name: `${sender}${by === 'phone' ? "'s phone" : ''} to ${name}${index === 0 ? '' : ` (${index + 1})`}`,
    chat,
    by,
    sender,
  }))
}

const chatOf = (owner: string, to: string): Chat => {
  const members = GROUPS[to]
  if (members) return { name: to, members }
  const pair = [owner, to].sort()
  return { name: pair.join(' and '), members: pair }
}

/** Whom the lane's sender addresses: a phone number or a group. */
export const addressOf = ({ people, groups, devices }: Cast, { chat, by, sender }: Lane): string => {
  const group = groups.get(chat.name)
  if (group) return group
  const owner = by === 'phone' ? sender : devices.find(({ name }) => name === sender)!.owner
  return people.get(chat.members.find((member) => member !== owner)!)!.phone
}
