import type { Route } from '../http/route.ts'
import { type AdminDeps, adminRoutes } from './admin/routes.ts'
import { type ApiKeyDeps, apiKeyRoutes } from './api-keys/routes.ts'
import { type ChatDeps, chatRoutes } from './chats/routes.ts'
import { type DeviceDeps, deviceRoutes } from './devices/routes.ts'
import { type EventDeps, eventRoutes } from './events/routes.ts'
import { type LinkingDeps, linkingRoutes } from './linking/routes.ts'
import { type MediaDeps, mediaRoutes } from './media/routes.ts'
import { type MessageActionDeps, messageActionRoutes } from './message-actions/routes.ts'
import { type MessageDeps, messageRoutes } from './messages/routes.ts'
import { type PollDeps, pollRoutes } from './polls/routes.ts'
import { type PresenceDeps, presenceRoutes } from './presence/routes.ts'
import { type SystemDeps, systemRoutes } from './system/routes.ts'
import { type WebhookDeps, webhookRoutes } from './webhooks/routes.ts'

/** What the areas need, taken together. */
export type RouteDeps = SystemDeps &
  AdminDeps &
  ApiKeyDeps &
  DeviceDeps &
  LinkingDeps &
  MediaDeps &
  MessageDeps &
  ChatDeps &
  MessageActionDeps &
  PollDeps &
  PresenceDeps &
  EventDeps &
  WebhookDeps

/** Every endpoint, in the order of the documentation. */
export const allRoutes = (deps: RouteDeps): Route[] => [
  ...systemRoutes(deps),
  ...adminRoutes(deps),
  ...apiKeyRoutes(deps),
  ...deviceRoutes(deps),
  ...linkingRoutes(deps),
  ...messageRoutes(deps),
  ...mediaRoutes(deps),
  ...chatRoutes(deps),
  ...messageActionRoutes(deps),
  ...pollRoutes(deps),
  ...presenceRoutes(deps),
  ...eventRoutes(deps),
  ...webhookRoutes(deps),
]

/** Stands for any dependency: it can be taken apart and passed on, but not used. */
const nothing: unknown = new Proxy(() => undefined, {
  get: () => nothing,
  apply: () => {
    throw new Error('these routes are for reading only')
  },
})

/** Every endpoint as a description: for the document, without anything running. Its handlers cannot be called. */
export const describedRoutes = (): Route[] => allRoutes(nothing as RouteDeps)
