import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { ParleyError } from '../kernel/errors.ts'
import { hashSecret } from '../kernel/ids.ts'
import type { AccessRegistry } from './access.ts'
import type { AuthKind, AuthOf } from './route.ts'
import type { DeviceTokens } from './tokens.ts'

/** Answers who calls. @throws unauthorized */
export type Guard<A extends AuthKind> = (headers: IncomingHttpHeaders) => AuthOf[A]

export type Guards = { readonly [A in AuthKind]: Guard<A> }

export interface GuardParts {
  readonly adminSecret: string
  readonly access: AccessRegistry
  readonly tokens: DeviceTokens
}

const NOBODY = {}

const unauthorized = (message: string): ParleyError => new ParleyError('unauthorized', message)

const digestOf = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest()

/** None of the guards asks the database: the registry in memory is current. */
export const createGuards = ({ adminSecret, access, tokens }: GuardParts): Guards => {
  const expected = digestOf(adminSecret)
  return {
    none: () => NOBODY,

    admin: (headers) => {
      const given = headers['x-admin-secret']
      if (typeof given !== 'string' || given === '') throw unauthorized('X-Admin-Secret is missing')
      if (!timingSafeEqual(digestOf(given), expected)) throw unauthorized('X-Admin-Secret is wrong')
      return NOBODY
    },

    // Looked up by its SHA-256: how long that takes says nothing about the keys that exist.
    'api-key': (headers) => {
      const given = headers['x-api-key']
      if (typeof given !== 'string' || given === '') throw unauthorized('X-API-Key is missing')
      const apiKey = given.length <= 128 ? access.apiKeyByHash(hashSecret(given)) : undefined
      if (!apiKey) throw unauthorized('X-API-Key is not known')
      if (!apiKey.isActive) throw unauthorized('the API key is disabled')
      return { apiKey }
    },

    jwt: (headers) => {
      const given = headers.authorization
      if (given === undefined) throw unauthorized('Authorization is missing; send "Bearer " and the device token')
      if (!/^bearer /i.test(given)) throw unauthorized('Authorization must be "Bearer " and the device token')
      const claims = tokens.verify(given.slice(7).trim())
      if (!claims) throw unauthorized('the device token is not valid')
      const device = access.device(claims.deviceId)
      if (!device || device.apiKeyId !== claims.apiKeyId) throw unauthorized('the device no longer exists')
      if (device.tokenVersion !== claims.version)
        throw unauthorized('the device token has been replaced by a newer one')
      if (!access.apiKey(device.apiKeyId)?.isActive) throw unauthorized('the API key of this device is disabled')
      return { device }
    },
  }
}
