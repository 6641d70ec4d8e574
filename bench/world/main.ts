import { startSandbox } from '../../sandbox/src/server.ts'
import type { Device } from '../../sandbox/src/service/account.ts'
import { jidOf } from '../../sandbox/src/service/groups.ts'
import { serveParent } from '../lib/child-side.ts'
import { now } from '../lib/measure.ts'
import { linkCompanion } from './companion.ts'
import { type Ciphertext, Person } from './person.ts'
import type { FlowRequest, FlowResult, LinkedAccount, PrepareRequest } from './questions.ts'

/** The sandbox with people that cost little, in a process of its own. See `questions.ts` for what it is asked. */
const ACCOUNTS_FROM = 4_915_100_000_000
const CONTACTS_FROM = 4_916_100_000_000

const problems: string[] = []
const sandbox = await startSandbox({
  tlsPort: 0,
  report: ({ kind, from, text, stanza }) => problems.push(`${kind} ${from}: ${text} ${stanza ?? ''}`.slice(0, 500)),
})
const { service } = sandbox

const owners: { person: Person; device: Device }[] = []
const contacts: Person[] = []
/** When each device last became active, on the clock that all processes share. */
const activeAt = new Map<Device, number>()
service.watch((event) => {
  if (event.type === 'device_active' && event.device.id !== 0) activeAt.set(event.device, now())
})

const link = ({ count, preKeys }: { count: number; preKeys: number }): LinkedAccount[] =>
  Array.from({ length: count }, () => {
    const person = new Person(service, String(ACCOUNTS_FROM + owners.length))
    const { device, credentials } = linkCompanion(service, person, preKeys)
    owners.push({ person, device })
    return { ...credentials, jid: device.jid, lid: device.lid, phone: person.account.pn }
  })

const addContacts = ({ count, confirms }: { count: number; confirms: boolean }): { phone: string; lid: string }[] =>
  Array.from({ length: count }, () => {
    const person = new Person(service, String(CONTACTS_FROM + contacts.length))
    person.confirms = confirms
    contacts.push(person)
    return { phone: person.account.pn, lid: person.account.lidJid }
  })

const group = ({ owner, members }: { owner: number; members: number }): string => {
  const creator = owners[owner]!.person.account
  const others = contacts.slice(0, members - 1).map(({ account }) => account)
  return jidOf(service.groups.create(creator, `Group of ${members}`, others))
}

const received = (): number => contacts.reduce((sum, person) => sum + person.received, 0)

/** Texts made ready, in the order in which they will be sent. */
let prepared: { from: Person; to: Device; text: Ciphertext }[] = []

const prepare = async ({ owners: numbers, contacts: writers, each }: PrepareRequest): Promise<number> => {
  const lines = await Promise.all(
    numbers.map(async (number) => {
      const { device } = owners[number]!
      return Promise.all(
        contacts.slice(0, writers).map(async (from) => {
          await from.settle()
          if (!from.hasSessionWith(device)) throw new Error(`${from.account.pn} has no session with ${device.jid}`)
          return (await from.encrypt(device, each)).map((text) => ({ from, to: device, text }))
        }),
      )
    }),
  )
  const flat = lines.flat()
  prepared = Array.from({ length: each }, (_, round) => flat.map((line) => line[round]!)).flat()
  return prepared.length
}

/** Sends prepared texts, at most `window` of them unconfirmed, or so many a second; resolves when all are confirmed. */
const flow = ({ count, window, perSecond }: FlowRequest): Promise<FlowResult> => {
  const batch = prepared.splice(0, count)
  if (batch.length < count) throw new Error(`only ${batch.length} texts are prepared`)
  const { promise, resolve, reject } = Promise.withResolvers<FlowResult>()
  const sentAt: [string, number][] = []
  const waiting = new Set<string>()
  const started = now()
  let next = 0
  const sendOne = () => {
    const { from, to, text } = batch[next++]!
    waiting.add(text.id)
    sentAt.push([text.id, now()])
    from.send(to, text)
  }
  const fill = () => {
    while (next < count && waiting.size < (window ?? 1)) sendOne()
  }
  const stuck = setInterval(() => {
    if (now() - heardAt > 20_000) reject(new Error(`${waiting.size} of ${count} texts were never confirmed`))
  }, 1_000)
  let heardAt = now()
  const onReceipt = (id: string) => {
    if (!waiting.delete(id)) return
    heardAt = now()
    if (next < count) {
      if (perSecond === undefined) fill()
    } else if (waiting.size === 0) resolve({ sentAt, tookMs: now() - started })
  }
  for (const person of contacts) person.onReceipt = onReceipt
  let pacer: NodeJS.Timeout | undefined
  if (perSecond === undefined) fill()
  else
    pacer = setInterval(() => {
      const due = Math.min(count, Math.floor(((now() - started) / 1000) * perSecond))
      while (next < due) sendOne()
    }, 2)
  return promise.finally(() => {
    clearInterval(stuck)
    clearInterval(pacer)
  })
}

serveParent(
  {
    ws: sandbox.ws,
    wss: sandbox.wss,
    noiseRoot: sandbox.noiseRoot.toString('hex'),
  },
  {
    link,
    contacts: addContacts,
    confirm: (confirms: boolean) => {
      for (const person of contacts) person.confirms = confirms
    },
    group,
    received,
    prepare,
    flow,
    /** How many companions are connected and active, and when the last one became so. */
    active: () => {
      const devices = owners.filter(({ device }) => device.active)
      return { count: devices.length, lastAt: Math.max(0, ...devices.map(({ device }) => activeAt.get(device) ?? 0)) }
    },
    problems: () => problems,
  },
)
