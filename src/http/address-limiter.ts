import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../kernel/clock.ts'
import { TokenBucket } from '../kernel/token-bucket.ts'

/** One caller may own a whole IPv6 /64, so its addresses count as one. */
const keyOf = (address: string): string => {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const behind = tail === undefined || tail === '' ? 0 : tail.split(':').length
  while (groups.length + behind < 8 && groups.length < 4) groups.push('0')
  return groups.slice(0, 4).join(':')
}

/**
 * A token bucket per client address. Memory is bounded: beyond `maxAddresses` the least recently seen is forgotten,
 * which at worst gives that one a fresh bucket.
 */
export class AddressLimiter {
  readonly #perMinute: number
  readonly #clock: Clock
  readonly #buckets: LRUCache<string, TokenBucket>

  constructor({
    perMinute,
    clock,
    maxAddresses = 20_000,
  }: { readonly perMinute: number; readonly clock: Clock; readonly maxAddresses?: number }) {
    this.#perMinute = perMinute
    this.#clock = clock
    this.#buckets = new LRUCache({ max: maxAddresses })
  }

  /** Takes one call of this address; answers 0 when it may pass, else the whole seconds until the next may. */
  take(address: string): number {
    const key = keyOf(address)
    const bucket = this.#buckets.get(key) ?? this.#open(key)
    return Math.ceil(bucket.take() / 1_000)
  }

  get size(): number {
    return this.#buckets.size
  }

  #open(key: string): TokenBucket {
    const bucket = new TokenBucket({
      capacity: this.#perMinute,
      refillMs: 60_000 / this.#perMinute,
      clock: this.#clock,
    })
    this.#buckets.set(key, bucket)
    return bucket
  }
}
