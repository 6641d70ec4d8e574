import type { CacheStore, FullJid } from 'baileys'
import { LRUCache } from 'lru-cache'
import type { SignalKeyRepository } from '../../storage/index.ts'

type Devices = FullJid[]

/** The device lists of all contacts of all sessions, bounded. */
export const createSharedDeviceCache = (max = 50_000): LRUCache<string, Devices> => new LRUCache({ max })

const TYPE = 'user-devices'

/**
 * Which devices a contact has, kept across restarts. On a miss Baileys asks the service and then begins new Signal
 * sessions with every device found, which burns the contact's one-time pre-keys; so a restart must not be a miss.
 * Baileys deletes entries itself when a `devices` notification says that they are stale.
 */
export const createDeviceCache = (deps: {
  readonly deviceId: string
  readonly repository: SignalKeyRepository
  readonly shared: LRUCache<string, Devices>
}) => {
  const { deviceId, repository, shared } = deps
  const keyOf = (user: string) => `${deviceId}|${user}`

  const mget = async (users: string[]): Promise<Record<string, Devices | undefined>> => {
    const found: Record<string, Devices | undefined> = {}
    const missing: string[] = []
    for (const user of users) {
      const cached = shared.get(keyOf(user))
      if (cached) found[user] = cached
      else missing.push(user)
    }
    if (missing.length > 0)
      for (const [user, bytes] of await repository.get(deviceId, TYPE, missing)) {
        const devices = JSON.parse(Buffer.from(bytes).toString()) as Devices
        shared.set(keyOf(user), devices)
        found[user] = devices
      }
    return found
  }

  const mset = async (entries: { key: string; value: Devices }[]): Promise<void> => {
    const writes = entries.map(({ key, value }) => ({ type: TYPE, id: key, value: Buffer.from(JSON.stringify(value)) }))
    await repository.commit(deviceId, { writes })
    for (const { key, value } of entries) shared.set(keyOf(key), value)
  }

  const del = async (user: string): Promise<void> => {
    shared.delete(keyOf(user))
    await repository.commit(deviceId, { writes: [{ type: TYPE, id: user, value: undefined }] })
  }

  return {
    mget,
    mset,
    del,
    get: async (user: string) => (await mget([user]))[user],
    set: (user: string, devices: Devices) => mset([{ key: user, value: devices }]),
    flushAll: () => {
      for (const key of shared.keys()) if (key.startsWith(`${deviceId}|`)) shared.delete(key)
    },
  } as unknown as CacheStore
}
