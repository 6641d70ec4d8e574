import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeviceTokens } from '../../src/http/tokens.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { hashSecret, newUuid } from '../../src/kernel/ids.ts'
import type { Logger } from '../../src/kernel/logger.ts'
import type { DeviceRow, Storage } from '../../src/storage/index.ts'
import { wrappingKeys } from '../../src/storage/keyring.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { LinkedAccount } from '../world/questions.ts'

export const SECRET = 'bench-secret-of-at-least-32-characters'

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
}

export interface HomeDevice {
  readonly deviceId: string
  readonly token: string
}

/** A folder with a gateway's database in it; gone when disposed. */
export interface Home extends AsyncDisposable {
  readonly folder: string
  readonly databasePath: string
  /** Opens the database while no gateway has it. */
  withStorage<T>(work: (storage: Storage) => Promise<T>): Promise<T>
  /** An API key with one device for each linked account. An inactive key's devices stay away until it is switched on. */
  addDevices(
    accounts: readonly LinkedAccount[],
    options?: { readonly active?: boolean },
  ): Promise<{ readonly keyId: number; readonly devices: readonly HomeDevice[] }>
}

export const makeHome = async (): Promise<Home> => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-bench-'))
  const databasePath = join(folder, 'bench.sqlite')
  const withStorage: Home['withStorage'] = async (work) => {
    await using storage = await openStorage({
      uri: `sqlite:${databasePath}`,
      secret: wrappingKeys({ jwtSecretKey: SECRET }),
      clock: systemClock,
      logger: silent,
      own: true,
    })
    return await work(storage)
  }
  return {
    folder,
    databasePath,
    withStorage,
    addDevices: (accounts, { active = true } = {}) =>
      withStorage(async (storage) => {
        const key = await storage.apiKeys.create(
          {
            keyHash: hashSecret(newUuid()),
            maskedKey: 'wam_xxxx...xxxx',
            customerName: 'bench',
            customerEmail: '',
            customerPhone: '',
            maxDevices: accounts.length,
            rateLimitPerHour: 1_000_000_000,
          },
          systemClock.now(),
        )
        const tokens = new DeviceTokens({ secret: SECRET, clock: systemClock })
        const devices = await Promise.all(accounts.map((account) => addDevice(storage, key.id, account)))
        if (!active) await storage.apiKeys.update(key.id, { isActive: false }, systemClock.now())
        return {
          keyId: key.id,
          devices: devices.map((row) => ({ deviceId: row.deviceId, token: tokens.issue(row) })),
        }
      }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

const addDevice = async (storage: Storage, apiKeyId: number, account: LinkedAccount): Promise<DeviceRow> => {
  const deviceId = newUuid()
  const made = await storage.devices.create(
    { deviceId, apiKeyId, deviceName: account.phone, secretHash: hashSecret(deviceId) },
    systemClock.now(),
  )
  if (typeof made === 'string') throw new Error(made)
  const row = await storage.devices.update(deviceId, { jid: account.jid, lid: account.lid, status: 'active' })
  await storage.signalKeys.commit(deviceId, {
    writes: account.preKeys.map(([id, json]) => ({ type: 'pre-key', id, value: Buffer.from(json) })),
    credentials: Buffer.from(account.creds),
  })
  return row!
}
