import { ok, type Route, type RouteError, route, STORAGE_AWAY } from '../../http/route.ts'
import type { Sessions } from '../../sessions/index.ts'
import { rfc3339, rfc3339OrNull, showLive } from '../common.ts'
import { CreatedDevice, DeviceParams, FreshToken, NewDeviceBody, OwnDevice, OwnStatus, TokenBody } from './schema.ts'
import { DeviceService, type DeviceServiceParts } from './service.ts'

export interface DeviceDeps extends DeviceServiceParts {
  readonly sessions: Pick<Sessions, 'remove' | 'status' | 'reconnect' | 'logout'>
}

const CREATION = 'Device Creation & Token'
const OWN = 'Device Operations (JWT Token)'

const EXAMPLE_ID = '550e8400-e29b-41d4-a716-446655440000'
const EXAMPLE_TOKEN = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...'

const CREATED =
  'Use the token in the Authorization header of all further calls; keep device_secret, it is not shown again.'
const RENEWED = 'Token regenerated; all earlier tokens of the device are worthless now.'

const NOT_LINKED: RouteError = { code: 'not_linked', when: 'the device has no WhatsApp account' }

export const deviceRoutes = (deps: DeviceDeps): Route[] => {
  const service = new DeviceService(deps)
  return [
    route({
      id: 'deleteDevice',
      method: 'DELETE',
      path: '/admin/devices/{device_id}',
      auth: 'admin',
      tag: 'Admin (API Key Management)',
      summary: 'Delete one device',
      description: 'It is logged out of WhatsApp; its tokens, keys, messages and webhooks are gone.',
      params: DeviceParams,
      errors: [{ code: 'not_found', when: 'the device_id is unknown or malformed' }, STORAGE_AWAY],
      handler: async ({ params }) => {
        await service.delete(params.device_id)
        return ok('Device deleted')
      },
    }),
    route({
      id: 'createDevice',
      method: 'POST',
      path: '/devices',
      auth: 'api-key',
      tag: CREATION,
      summary: 'Register a device and get its token',
      description: 'The fields of `data` are repeated at the top level of the reply.',
      body: NewDeviceBody,
      bodyTypes: ['application/json', 'multipart/form-data', 'application/x-www-form-urlencoded'],
      bodyOptional: true,
      bodyExample: { device_name: 'Production Bot 1' },
      data: CreatedDevice,
      success: {
        status: 201,
        message: CREATED,
        example: {
          device_id: EXAMPLE_ID,
          device_secret: 'a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90',
          device_name: 'Production Bot 1',
          token: EXAMPLE_TOKEN,
          message: CREATED,
        },
      },
      repeatDataAtTop: true,
      errors: [{ code: 'bad_request', when: 'the key has all the devices it may have (`max_devices`)' }, STORAGE_AWAY],
      handler: async ({ auth, body }) => {
        const { row, secret, token } = await service.create(auth.apiKey, body.device_name?.trim() ?? '')
        return ok(CREATED, {
          device_id: row.deviceId,
          device_secret: secret,
          device_name: row.deviceName,
          token,
          message: CREATED,
        })
      },
    }),
    route({
      id: 'renewDeviceToken',
      method: 'POST',
      path: '/devices/token',
      auth: 'none',
      tag: CREATION,
      summary: 'Trade device secret for a fresh token',
      description: 'The fields of `data` are repeated at the top level of the reply. Ten calls a minute per address.',
      body: TokenBody,
      bodyExample: { device_id: EXAMPLE_ID, device_secret: 'a1b2c3d4e5f60718...' },
      data: FreshToken,
      success: { message: RENEWED, example: { device_id: EXAMPLE_ID, token: EXAMPLE_TOKEN, message: RENEWED } },
      repeatDataAtTop: true,
      perMinutePerAddress: 10,
      errors: [
        { code: 'unauthorized', when: 'the credentials do not match, or the API key is disabled' },
        STORAGE_AWAY,
      ],
      handler: async ({ body }) => {
        const token = await service.renewToken(body.device_id, body.device_secret)
        return ok(RENEWED, { device_id: body.device_id.toLowerCase(), token, message: RENEWED })
      },
    }),
    route({
      id: 'getOwnDevice',
      method: 'GET',
      path: '/devices/me',
      auth: 'jwt',
      tag: OWN,
      summary: 'Record of the calling device',
      data: OwnDevice,
      success: {
        example: {
          device_id: EXAMPLE_ID,
          device_name: 'Production Bot 1',
          whatsmeow_jid: '6281234567890:3@s.whatsapp.net',
          status: 'active',
          created_at: '2026-11-22T09:00:00.000Z',
          last_active: '2026-11-22T09:05:00.000Z',
        },
      },
      errors: [{ code: 'not_found', when: 'the device was deleted a moment ago' }, STORAGE_AWAY],
      handler: async ({ auth }) => {
        const device = await service.get(auth.device.deviceId)
        return ok('Device', {
          device_id: device.deviceId,
          device_name: device.deviceName,
          whatsmeow_jid: device.jid ?? '',
          status: device.status,
          created_at: rfc3339(device.createdAt),
          last_active: rfc3339OrNull(device.lastActiveAt),
        })
      },
    }),
    route({
      id: 'getOwnStatus',
      method: 'GET',
      path: '/devices/me/status',
      auth: 'jwt',
      tag: OWN,
      summary: 'Database and live status of calling device',
      description: '200 whether it is online or not.',
      data: OwnStatus,
      success: {
        example: {
          db_status: 'active',
          client_loaded: true,
          connected: true,
          is_connected: true,
          is_logged_in: true,
          error: '',
        },
      },
      errors: [],
      handler: ({ auth }) => {
        const live = deps.sessions.status(auth.device.deviceId)
        return ok('Device status', { db_status: auth.device.status, ...showLive(live), error: live.error })
      },
    }),
    route({
      id: 'reconnectOwnDevice',
      method: 'POST',
      path: '/devices/me/reconnect',
      auth: 'jwt',
      tag: OWN,
      summary: 'Drop and reopen the device connection',
      description: 'Answers when the device is logged in again.',
      errors: [NOT_LINKED, { code: 'not_connected', when: 'it did not come back in time' }, STORAGE_AWAY],
      handler: async ({ auth }) => {
        await deps.sessions.reconnect(auth.device.deviceId)
        return ok('Device reconnected')
      },
    }),
    route({
      id: 'logOutOwnDevice',
      method: 'DELETE',
      path: '/devices/me/session',
      auth: 'jwt',
      tag: OWN,
      summary: 'Log out of WhatsApp, keep device record',
      description: 'The token keeps working; the device can be linked again.',
      errors: [NOT_LINKED, STORAGE_AWAY],
      handler: async ({ auth }) => {
        await deps.sessions.logout(auth.device.deviceId)
        return ok('Logged out of WhatsApp')
      },
    }),
  ]
}
