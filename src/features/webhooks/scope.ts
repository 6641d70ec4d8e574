import type { AuthOf, RouteError } from '../../http/route.ts'

/** Whose webhooks a set of routes is about: one device's, or those that get the events of every device. */
export interface Scope<A extends 'jwt' | 'admin'> {
  readonly auth: A
  readonly tag: string
  /** Path of the list. */
  readonly base: string
  /** Goes into the ids of the routes: `listWebhooks`, `listGlobalWebhooks`. */
  readonly word: string
  readonly ownerOf: (auth: AuthOf[A]) => string | undefined
  readonly noSuchWebhook: RouteError
}

export const OWN: Scope<'jwt'> = {
  auth: 'jwt',
  tag: 'Webhooks',
  base: '/webhooks',
  word: 'Webhook',
  ownerOf: ({ device }) => device.deviceId,
  noSuchWebhook: { code: 'not_found', when: 'the device has no such webhook' },
}

export const GLOBAL: Scope<'admin'> = {
  auth: 'admin',
  tag: 'Admin webhooks',
  base: '/admin/webhooks',
  word: 'GlobalWebhook',
  ownerOf: () => undefined,
  noSuchWebhook: { code: 'not_found', when: 'there is no such webhook of every device' },
}
