/** An event as the log, a stream or a webhook shows it: what the comparison needs of it. */
export interface LoggedEvent {
  readonly id: string
  readonly sequence: number
  readonly event_type: string
  readonly data: { readonly conversation_id?: string | null }
}

/** Where a reader's account and the log part, in words. */
export interface Differences {
  readonly lost: readonly string[]
  readonly duplicated: readonly string[]
  readonly outOfOrder: readonly string[]
}

/** A reader by cursor: what it got, put together, must be the log: the same events, in the same order, each once. */
export const compareReader = (who: string, got: readonly LoggedEvent[], log: readonly LoggedEvent[]): Differences => {
  const places = new Map(log.map(({ id }, place) => [id, place]))
  const counts = new Map<string, number>()
  const outOfOrder: string[] = []
  let last = -1
  for (const event of got) {
    const seen = counts.get(event.id) ?? 0
    counts.set(event.id, seen + 1)
    const place = places.get(event.id)
    if (seen > 0 || place === undefined) continue
    if (place < last) outOfOrder.push(`${nameOf(event)} came to ${who} after ${nameOf(log[last]!)}`)
    else last = place
  }
  return {
    lost: [
      ...log.filter(({ id }) => !counts.has(id)).map((event) => `${nameOf(event)} never came to ${who}`),
      ...got
        .filter(({ id }) => !places.has(id))
        .map((event) => `${nameOf(event)} came to ${who} and is not in the log`),
    ],
    duplicated: got
      .filter(({ id }, index) => counts.get(id)! > 1 && got.findIndex((other) => other.id === id) === index)
      .map((event) => `${nameOf(event)} came ${counts.get(event.id)} times to ${who}`),
    outOfOrder,
  }
}

/** A webhook may hear of events again and of chats side by side; `kept` is each event once, by first arrival. */
export const compareWebhook = (
  who: string,
  kept: readonly LoggedEvent[],
  log: readonly LoggedEvent[],
  types: readonly string[],
): Differences => {
  const has = new Set(kept.map(({ id }) => id))
  const known = new Set(log.map(({ id }) => id))
  const outOfOrder: string[] = []
  for (const chat of Map.groupBy(kept.filter(isOfChat), ({ data }) => data.conversation_id).values()) {
    let last = chat[0]!
    for (const event of chat) {
      if (event.sequence < last.sequence) outOfOrder.push(`${nameOf(event)} came to ${who} after ${nameOf(last)}`)
      else last = event
    }
  }
  return {
    lost: [
      ...log
        .filter(({ id, event_type }) => isSubscribed(types, event_type) && !has.has(id))
        .map((event) => `${nameOf(event)} never came to ${who}`),
      ...kept
        .filter(({ id }) => !known.has(id))
        .map((event) => `${nameOf(event)} came to ${who} and is not in the log`),
    ],
    duplicated: [],
    outOfOrder,
  }
}

export const addDifferences = (all: readonly Differences[]): Differences => ({
  lost: all.flatMap(({ lost }) => lost),
  duplicated: all.flatMap(({ duplicated }) => duplicated),
  outOfOrder: all.flatMap(({ outOfOrder }) => outOfOrder),
})

const isOfChat = ({ data }: LoggedEvent): boolean => typeof data.conversation_id === 'string'

const isSubscribed = (patterns: readonly string[], type: string): boolean =>
  patterns.some((pattern) => pattern === type || (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1))))

const nameOf = ({ event_type, sequence, id }: LoggedEvent): string => `event ${sequence} (${event_type}, ${id})`
