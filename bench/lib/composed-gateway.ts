import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Gateway, startGateway } from '../../src/compose.ts'
import { parseConfig } from '../../src/config/config.ts'
import { DeviceTokens } from '../../src/http/tokens.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { hashSecret, newUuid } from '../../src/kernel/ids.ts'
import { createLogger } from '../../src/observability/logger.ts'

const SECRET = 'bench-secret-of-at-least-32-characters'

/** The gateway with every hook of production, in this process, on a database of its own with one device. */
export const composeGateway = async (
  level: 'info' | 'error',
): Promise<{ readonly gateway: Gateway; readonly deviceId: string; readonly token: string }> => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'))
  const { config } = parseConfig({
    ADMIN_SECRET_KEY: SECRET,
    JWT_SECRET_KEY: SECRET,
    WHATSAPP_DATASTORE_URI: `sqlite:${join(folder, 'bench.sqlite')}`,
    SERVER_ADDRESS: '127.0.0.1',
    SERVER_PORT: '0',
    LOG_FORMAT: 'json',
  })
  const gateway = await startGateway({
    config,
    logger: createLogger({ level, format: 'json' }),
    clock: systemClock,
    version: '0.0.0',
    onFatal: (reason) => {
      throw reason
    },
  })
  const { storage } = gateway
  const key = await storage.apiKeys.create(
    {
      keyHash: hashSecret('x'),
      maskedKey: 'wam_xxxx...xxxx',
      customerName: 'bench',
      customerEmail: '',
      customerPhone: '',
      maxDevices: 10,
      rateLimitPerHour: 1000,
    },
    Date.now(),
  )
  const device = await storage.devices.create(
    { deviceId: newUuid(), apiKeyId: key.id, deviceName: 'bench', secretHash: hashSecret('y') },
    Date.now(),
  )
  if (typeof device === 'string') throw new Error(device)
  const token = new DeviceTokens({ secret: SECRET, clock: systemClock }).issue(device)
  return { gateway, deviceId: device.deviceId, token }
}
