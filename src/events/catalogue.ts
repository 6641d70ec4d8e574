import * as chats from './catalogue/chats.ts'
import * as connection from './catalogue/connection.ts'
import * as contact from './catalogue/contact.ts'
import { DECLARED } from './catalogue/declared.ts'
import * as history from './catalogue/history.ts'
import * as media from './catalogue/media.ts'
import * as messages from './catalogue/messages.ts'
import * as ping from './catalogue/ping.ts'
import * as polls from './catalogue/polls.ts'
import * as presence from './catalogue/presence.ts'
import * as profile from './catalogue/profile.ts'
import * as webhook from './catalogue/webhook.ts'
import type { EventDefinition } from './event.ts'

/** Every event that has a schema: what is emitted, and what the OpenAPI document's `webhooks` section shows. */
export const EVENTS: readonly EventDefinition[] = [
  messages,
  media,
  connection,
  contact,
  polls,
  presence,
  profile,
  chats,
  history,
  webhook,
  ping,
].flatMap((area) => Object.values(area).filter((value) => typeof value === 'object') as EventDefinition[])

const byName = new Map(EVENTS.map((definition) => [definition.name, definition]))

export const eventNamed = (name: string): EventDefinition | undefined => byName.get(name)

/** Every name that can be subscribed to, with or without a schema yet. */
export const EVENT_NAMES: readonly string[] = [...byName.keys(), ...Object.values(DECLARED).flat()].toSorted()

const known = new Set(EVENT_NAMES)
const areas = new Set(EVENT_NAMES.map((name) => name.slice(0, name.indexOf('.'))))

/** True for what a subscription may list: a known name, `area.*` of a known area, or `*`. */
export const isSubscribable = (pattern: string): boolean =>
  pattern === '*' || known.has(pattern) || (pattern.endsWith('.*') && areas.has(pattern.slice(0, -2)))

/** Whether a subscription's patterns want an event; none = all. */
export const matches = (patterns: readonly string[], type: string): boolean =>
  patterns.length === 0 ||
  patterns.some(
    (pattern) =>
      pattern === '*' || pattern === type || (pattern.endsWith('.*') && type.startsWith(pattern.slice(0, -1))),
  )
