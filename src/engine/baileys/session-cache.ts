import type { CacheStore } from 'baileys'
import type { LRUCache } from 'lru-cache'

/**
 * A session's slice of a cache that all sessions share: Baileys keys its small caches by message or call id alone, and
 * one cache per session would cost memory and timers a thousand times over.
 */
export const sliceOf = (shared: LRUCache<string, NonNullable<unknown>>, deviceId: string): CacheStore => {
  const keyOf = (key: string) => `${deviceId}|${key}`
  return {
    get: <T>(key: string) => shared.get(keyOf(key)) as T | undefined,
    set: (key: string, value: unknown) => {
      shared.set(keyOf(key), value as NonNullable<unknown>)
    },
    del: (key: string) => {
      shared.delete(keyOf(key))
    },
    flushAll: () => {
      for (const key of shared.keys()) if (key.startsWith(keyOf(''))) shared.delete(key)
    },
  } as unknown as CacheStore
}
