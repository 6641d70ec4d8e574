import type { Cast } from './cast.ts'
import type { Arrival, Ledger, Said } from './ledger.ts'
import type { Differences } from './log-verdict.ts'
import { countEventInversions, countLaneInversions } from './order.ts'
import type { ChaosReceiver } from './receiver.ts'
import type { Wire, WireEntry } from './sandbox-feeds.ts'

/** What must be nothing, and what is only counted. */
export interface Findings {
  /** Texts that were accepted, or showed up. */
  readonly sent: number
  /** Arrivals of those, each once: one for each phone and each device in the chat but the sender. */
  readonly received: number
  readonly lost: readonly string[]
  readonly duplicated: readonly string[]
  /** The same id again on the wire. */
  readonly resent: number
  readonly outOfOrder: readonly string[]
  readonly undecryptable: readonly string[]
  readonly repaired: readonly string[]
  /** Answered with a refusal, and yet under way. */
  readonly ghosts: readonly string[]
  /** Webhook requests for events that had been kept before. */
  readonly redelivered: number
  /** Deliveries that were given up. */
  readonly deadLetters: readonly string[]
  /** Accepted over HTTP, and no `message.status` ever told that WhatsApp has it. */
  readonly untold: readonly string[]
}

interface Place {
  readonly name: string
  readonly kind: 'phone' | 'device'
  readonly owner: string
}

export interface Judged {
  readonly cast: Cast
  readonly ledger: Ledger
  readonly receiver: ChaosReceiver
  readonly wire: Wire
  /** Texts of the sandbox's problem log about messages that did not open. */
  readonly unopened: readonly string[]
  readonly repaired: readonly string[]
  /** Where webhooks and live readers part from the logs. */
  readonly differences: Differences
  readonly deadLetters: readonly string[]
}

/** The arrivals that are still to come, in words. */
export const findMissing = ({ cast, ledger }: Pick<Judged, 'cast' | 'ledger'>): string[] => {
  const places = placesOf(cast)
  const texts = new Map(places.map((place) => [place, new Set(arrivalsAt(ledger, place).map(({ text }) => text))]))
  const shown = new Set([...texts.values()].flatMap((set) => [...set]))
  return [...ledger.said.values()]
    .filter((said) => counts(said, shown))
    .flatMap((said) =>
      audience(said, places)
        .filter((place) => !texts.get(place)!.has(said.text))
        .map((place) => `"${said.text}" (${said.messageId ?? said.fate}) at ${place.kind} ${place.name}`),
    )
}

export const judge = (judged: Judged): Findings => {
  const { cast, ledger, receiver, wire, unopened, repaired, differences, deadLetters } = judged
  const places = placesOf(cast)
  const arrived = new Set(places.flatMap((place) => arrivalsAt(ledger, place).map(({ text }) => text)))
  const said = [...ledger.said.values()]
  const sent = said.filter((one) => counts(one, arrived))
  const missing = findMissing(judged)
  const expected = sent.reduce((sum, one) => sum + audience(one, places).length, 0)
  return {
    sent: sent.length,
    received: expected - missing.length,
    lost: [...missing, ...differences.lost],
    duplicated: [
      ...places.flatMap((place) => findDuplicates(arrivalsAt(ledger, place), place, ledger)),
      ...differences.duplicated,
    ],
    resent: countResent(wire.entries),
    redelivered: receiver.redelivered,
    deadLetters,
    outOfOrder: [...places.flatMap((place) => findDisorder(place, judged)), ...differences.outOfOrder],
    undecryptable: [...[...receiver.undecryptable].map((id) => `event ${id}`), ...unopened],
    repaired,
    ghosts: said
      .filter(({ fate, text }) => fate === 'refused' && arrived.has(text))
      .map(({ text, code }) => `"${text}" (${code})`),
    untold: said
      .filter(({ lane, fate }) => lane.by === 'api' && fate === 'accepted')
      .filter(({ lane, messageId }) => !receiver.statuses.has(`${lane.sender} ${messageId}`))
      .map(({ text }) => `"${text}"`),
  }
}

/** Accepted, or cut off and yet there: then it has to be everywhere. */
const counts = ({ fate, text }: Said, arrived: ReadonlySet<string>): boolean =>
  fate === 'accepted' || ((fate === 'unknown' || fate === 'refused') && arrived.has(text))

const placesOf = ({ people, devices }: Cast): Place[] => [
  ...[...people.keys()].map((name): Place => ({ name, kind: 'phone', owner: name })),
  ...devices.map(({ name, owner }): Place => ({ name, kind: 'device', owner })),
]

const arrivalsAt = (ledger: Ledger, { name, kind }: Place): readonly Arrival[] =>
  (kind === 'phone' ? ledger.onPhones : ledger.onDevices).get(name) ?? []

/** Everybody in the chat, on every device, but the one that wrote it. */
const audience = ({ lane }: Said, places: readonly Place[]): Place[] =>
  places.filter(
    ({ name, kind, owner }) =>
      lane.chat.members.includes(owner) &&
      !(name === lane.sender && kind === (lane.by === 'phone' ? 'phone' : 'device')),
  )

/** The same text under two ids, or under one that its sender was not told. */
const findDuplicates = (arrivals: readonly Arrival[], place: Place, ledger: Ledger): string[] => {
  const found: string[] = []
  for (const [text, list] of Map.groupBy(arrivals, (arrival) => arrival.text)) {
    const said = ledger.said.get(text)
    const ids = new Set(list.map(({ messageId }) => messageId))
    if (!said) found.push(`"${text}", which nobody said, at ${place.kind} ${place.name}`)
    else if (list.length > 1) found.push(`"${text}" ${list.length} times (${[...ids]}) at ${place.kind} ${place.name}`)
    else if (said.messageId && !ids.has(said.messageId))
      found.push(`"${text}" as ${[...ids]} instead of ${said.messageId} at ${place.kind} ${place.name}`)
  }
  return found
}

const findDisorder = (place: Place, { cast, ledger, wire }: Judged): string[] => {
  const arrivals = arrivalsAt(ledger, place)
  const where = (what: string) => `${what} at ${place.kind} ${place.name}`
  if (place.kind === 'phone') return countLaneInversions(arrivals).map(where)
  const { jid } = cast.devices.find(({ name }) => name === place.name)!
  return countEventInversions(
    arrivals,
    wire.entries.filter(({ device }) => device === jid),
  ).map(where)
}

const countResent = (entries: readonly WireEntry[]): number => {
  const seen = new Set<string>()
  let again = 0
  for (const entry of entries) {
    if (entry.direction !== 'in' || entry.tag !== 'message' || entry.again) continue
    const key = `${entry.device} ${entry.id}`
    if (seen.has(key)) again += 1
    seen.add(key)
  }
  return again
}
