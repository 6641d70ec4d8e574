import type { OutgoingContent } from '../engine/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { ParleyError } from '../kernel/errors.ts'
import { TokenBucket } from '../kernel/token-bucket.ts'

export interface SendLimitOptions {
  /** Messages of one device; undefined = no limit. */
  readonly perDevice: { readonly perMinute: number; readonly burst: number } | undefined
  /** The API key behind a device, and how much all its devices may send an hour. */
  readonly quotaOf: (deviceId: string) => { readonly key: string; readonly perHour: number } | undefined
  readonly clock: Pick<Clock, 'now'>
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
/** Buckets that nothing is missing from are dropped when there are more than this. */
const KEPT = 10_000

/** What people would feel as messages; taking one back, editing or reacting is not limited. */
const LIMITED = new Set<OutgoingContent['kind']>([
  'text',
  'media',
  'location',
  'contacts',
  'forward',
  'poll',
  'poll_vote',
])

/** How much a device, and all devices of an API key together, may send: token buckets. */
export class SendLimits {
  readonly #options: SendLimitOptions
  readonly #buckets = new Map<string, { readonly bucket: TokenBucket; readonly capacity: number }>()

  constructor(options: SendLimitOptions) {
    this.#options = options
  }

  /** Answers how to give back what was taken. @throws rate_limited with the seconds to wait; nothing is taken then */
  take(deviceId: string, kind: OutgoingContent['kind']): () => void {
    if (!LIMITED.has(kind)) return nothing
    const { perDevice, quotaOf } = this.#options
    const quota = quotaOf(deviceId)
    const ofKey =
      quota && quota.perHour > 0 ? this.#bucket(quota.key, quota.perHour, HOUR_MS / quota.perHour) : undefined
    const ofDevice = perDevice && this.#bucket(`device ${deviceId}`, perDevice.burst, MINUTE_MS / perDevice.perMinute)
    if (ofDevice)
      refuse(ofDevice.take(), 'this device sends more messages than WHATSAPP_RATE_LIMIT_MSG_PER_MINUTE allows')
    if (!ofKey) return () => ofDevice?.giveBack()
    const wait = ofKey.take()
    if (wait > 0) ofDevice?.giveBack()
    refuse(wait, 'the API key has used up its messages of this hour (rate_limit_per_hour)')
    return () => {
      ofDevice?.giveBack()
      ofKey.giveBack()
    }
  }

  #bucket(name: string, capacity: number, refillMs: number): TokenBucket {
    const known = this.#buckets.get(name)
    if (known?.capacity === capacity) return known.bucket
    if (this.#buckets.size >= KEPT)
      for (const [other, { bucket }] of this.#buckets) if (bucket.isFull) this.#buckets.delete(other)
    const bucket = new TokenBucket({ capacity, refillMs, clock: this.#options.clock })
    this.#buckets.set(name, { bucket, capacity })
    return bucket
  }
}

const nothing = (): void => undefined

const refuse = (waitMs: number, why: string): void => {
  if (waitMs === 0) return
  const retryAfterSeconds = Math.ceil(waitMs / 1000)
  throw new ParleyError('rate_limited', `${why}; try again in ${retryAfterSeconds} s`, { retryAfterSeconds })
}
