import { type BodyType, ok, type Route, type RouteError, route, STORAGE_AWAY } from '../../http/route.ts'
import type { Sessions } from '../../sessions/index.ts'
import type { ApiKeyRow } from '../../storage/index.ts'
import { rfc3339, rfc3339OrNull, showLive, showLiveError } from '../common.ts'
import {
  CreatedKey,
  KeyChangeBody,
  KeyDetails,
  KeyDevices,
  KeyDevicesStatus,
  KeyList,
  KeyParams,
  NewKeyBody,
} from './schema.ts'
import { ApiKeyService, type ApiKeyServiceParts } from './service.ts'

export interface ApiKeyDeps extends ApiKeyServiceParts {
  readonly sessions: Pick<Sessions, 'remove' | 'suspend' | 'resume' | 'status'>
}

const facts = { auth: 'admin', tag: 'Admin (API Key Management)' } as const

const BODY_TYPES: readonly BodyType[] = ['application/json', 'multipart/form-data', 'application/x-www-form-urlencoded']

const NO_SUCH_KEY: RouteError = { code: 'not_found', when: 'there is no such key' }

const showKey = (row: ApiKeyRow) => ({
  id: row.id,
  api_key_masked: row.maskedKey,
  customer_name: row.customerName,
  customer_email: row.customerEmail,
  customer_phone: row.customerPhone,
  max_devices: row.maxDevices,
  rate_limit_per_hour: row.rateLimitPerHour,
  is_active: row.isActive,
})

const EXAMPLE_OWNER = {
  customer_name: 'Acme Corp',
  customer_email: 'admin@acme.com',
  customer_phone: '+6281234567890',
  max_devices: 10,
  rate_limit_per_hour: 1_000,
}

export const apiKeyRoutes = (deps: ApiKeyDeps): Route[] => {
  const service = new ApiKeyService(deps)
  return [
    route({
      ...facts,
      id: 'createApiKey',
      method: 'POST',
      path: '/admin/api-keys',
      summary: 'Issue a customer API key',
      description: 'The key is shown in this reply only; the gateway keeps its hash.',
      body: NewKeyBody,
      bodyTypes: BODY_TYPES,
      bodyExample: { customer_name: 'Acme Corp', max_devices: 10 },
      data: CreatedKey,
      success: {
        status: 201,
        example: { id: 1, api_key: 'wam_0123456789abcdef0123456789ab', ...EXAMPLE_OWNER },
      },
      errors: [STORAGE_AWAY],
      handler: async ({ body }) => {
        const { row, key } = await service.create(body)
        const { api_key_masked: _, is_active: __, ...shown } = showKey(row)
        return ok('API key created; keep it, it is not shown again', { ...shown, api_key: key })
      },
    }),
    route({
      ...facts,
      id: 'listApiKeys',
      method: 'GET',
      path: '/admin/api-keys',
      summary: 'All API keys, masked, with device counts',
      description: 'Newest first.',
      data: KeyList,
      success: {
        example: [{ id: 1, api_key_masked: 'wam_0123...89ab', ...EXAMPLE_OWNER, is_active: true, device_count: 2 }],
      },
      errors: [STORAGE_AWAY],
      handler: async () => {
        const rows = await deps.storage.apiKeys.list()
        return ok(
          'API keys',
          rows.map((row) => ({ ...showKey(row), device_count: row.deviceCount })),
        )
      },
    }),
    route({
      ...facts,
      id: 'getApiKey',
      method: 'GET',
      path: '/admin/api-keys/{id}',
      summary: 'One API key with its devices',
      params: KeyParams,
      data: KeyDetails,
      errors: [NO_SUCH_KEY, STORAGE_AWAY],
      handler: async ({ params }) => {
        const row = await service.get(params.id)
        const devices = await service.devicesOf(params.id)
        return ok('API key', {
          ...showKey(row),
          device_count: devices.length,
          devices: devices.map((device) => ({
            device_id: device.deviceId,
            api_key_id: device.apiKeyId,
            ...(device.deviceName === '' ? {} : { device_name: device.deviceName }),
            ...(device.jid ? { whatsmeow_jid: device.jid } : {}),
            status: device.status,
            created_at: rfc3339(device.createdAt),
            ...(device.lastActiveAt === undefined ? {} : { last_active_at: rfc3339(device.lastActiveAt) }),
          })),
          created_at: rfc3339(row.createdAt),
          updated_at: rfc3339OrNull(row.updatedAt),
        })
      },
    }),
    route({
      ...facts,
      id: 'changeApiKey',
      method: 'PATCH',
      path: '/admin/api-keys/{id}',
      summary: 'Change key owner data, limits or active flag',
      description:
        'Fields that are absent or blank, and numbers of 0 or less, keep the old value. With `is_active: false` the devices of the key are disconnected, but stay linked; with `true` they come back.',
      params: KeyParams,
      body: KeyChangeBody,
      bodyTypes: BODY_TYPES,
      bodyExample: { max_devices: 20, is_active: true },
      errors: [NO_SUCH_KEY, STORAGE_AWAY],
      handler: async ({ params, body }) => {
        await service.change(params.id, body)
        return ok('API key updated')
      },
    }),
    route({
      ...facts,
      id: 'deleteApiKey',
      method: 'DELETE',
      path: '/admin/api-keys/{id}',
      summary: 'Remove key and its devices',
      description:
        'Its devices are logged out of WhatsApp, and everything of theirs is deleted. Their tokens die at once.',
      params: KeyParams,
      errors: [NO_SUCH_KEY, STORAGE_AWAY],
      handler: async ({ params }) => {
        await service.delete(params.id)
        return ok('API key and its devices deleted')
      },
    }),
    route({
      ...facts,
      id: 'listApiKeyDevices',
      method: 'GET',
      path: '/admin/api-keys/{id}/devices',
      summary: 'Devices owned by one key',
      description: 'Newest first.',
      params: KeyParams,
      data: KeyDevices,
      errors: [NO_SUCH_KEY, STORAGE_AWAY],
      handler: async ({ params }) => {
        const devices = await service.devicesOf(params.id)
        return ok(
          'Devices of the API key',
          devices.map((device) => ({
            device_id: device.deviceId,
            device_name: device.deviceName,
            whatsmeow_jid: device.jid ?? '',
            status: device.status,
            created_at: rfc3339(device.createdAt),
            last_active_at: rfc3339OrNull(device.lastActiveAt),
          })),
        )
      },
    }),
    route({
      ...facts,
      id: 'getApiKeyDevicesStatus',
      method: 'GET',
      path: '/admin/api-keys/{id}/devices/status',
      summary: "Live state of one key's devices",
      params: KeyParams,
      data: KeyDevicesStatus,
      errors: [NO_SUCH_KEY, STORAGE_AWAY],
      handler: async ({ params }) => {
        const devices = await service.devicesOf(params.id)
        return ok(
          'Live status of the devices of the API key',
          devices.map((device) => {
            const live = deps.sessions.status(device.deviceId)
            return {
              device_id: device.deviceId,
              device_name: device.deviceName,
              whatsmeow_jid: device.jid ?? '',
              db_status: device.status,
              ...showLive(live),
              ...showLiveError(live),
            }
          }),
        )
      },
    }),
  ]
}
