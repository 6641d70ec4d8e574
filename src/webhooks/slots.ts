import type { Clock } from '../kernel/clock.ts'

/** Attempts under way at once in the whole process, by kind. */
export const FAST_SLOTS = 256
export const SLOW_SLOTS = 1024
/** An attempt that takes longer than this is slow. */
export const SLOW_AFTER_MS = 1_000

export interface Slot {
  readonly startedAt: number
  slow: boolean
}

/** Whoever could not start for want of a slot; called when there may be one. */
export type Waiting = () => void

/**
 * The global cap on attempts, in two parts, so that slow and dead endpoints, however many, leave room for the others:
 * an attempt takes a fast slot, and when it has not ended after a second it moves over to a slow one. An endpoint known
 * to be slow or failing takes a slow slot from the start, and waits only for its like.
 */
export class Slots {
  readonly #clock: Clock
  readonly #capacity: { readonly fast: number; readonly slow: number }
  // In the order of their start.
  readonly #fast = new Set<Slot>()
  #slow = 0
  readonly #waitingFast = new Set<Waiting>()
  readonly #waitingSlow = new Set<Waiting>()
  #cancelTimer: (() => void) | undefined
  #onIdle: (() => void) | undefined

  constructor(clock: Clock, capacity = { fast: FAST_SLOTS, slow: SLOW_SLOTS }) {
    this.#clock = clock
    this.#capacity = capacity
  }

  get taken(): number {
    return this.#fast.size + this.#slow
  }

  /** A slot, or undefined: then `waiting` is called, once, when it is worth asking again. */
  take(suspect: boolean, waiting: Waiting): Slot | undefined {
    const now = this.#clock.now()
    if (suspect) {
      if (this.#slow >= this.#capacity.slow) {
        this.#waitingSlow.add(waiting)
        return undefined
      }
      this.#slow += 1
      return { startedAt: now, slow: true }
    }
    if (this.#fast.size >= this.#capacity.fast) this.#moveSlow(now)
    if (this.#fast.size >= this.#capacity.fast) {
      this.#waitingFast.add(waiting)
      this.#watch(now)
      return undefined
    }
    const slot: Slot = { startedAt: now, slow: false }
    this.#fast.add(slot)
    return slot
  }

  /** Calls back once when no slot is taken. */
  whenIdle(callback: () => void): void {
    this.#onIdle = callback
    if (this.taken === 0) callback()
  }

  release(slot: Slot): void {
    if (slot.slow) {
      this.#slow -= 1
      if (this.#waitingFast.size > 0) this.#moveSlow(this.#clock.now())
    } else this.#fast.delete(slot)
    this.#offer()
    if (this.taken === 0) this.#onIdle?.()
  }

  close(): void {
    this.#cancelTimer?.()
    this.#waitingFast.clear()
    this.#waitingSlow.clear()
  }

  #moveSlow(now: number): void {
    for (const slot of this.#fast) {
      if (now - slot.startedAt < SLOW_AFTER_MS || this.#slow >= this.#capacity.slow) return
      this.#fast.delete(slot)
      slot.slow = true
      this.#slow += 1
    }
  }

  /** Calls as many of those who wait, in the order they came, as there are free slots. */
  #offer(): void {
    wakeSome(this.#waitingFast, this.#capacity.fast - this.#fast.size)
    wakeSome(this.#waitingSlow, this.#capacity.slow - this.#slow)
  }

  /** Looks again when the oldest fast attempt will have become slow. */
  #watch(now: number): void {
    const [oldest] = this.#fast
    if (this.#cancelTimer || !oldest) return
    this.#cancelTimer = this.#clock.after(Math.max(1, oldest.startedAt + SLOW_AFTER_MS - now), () => {
      this.#cancelTimer = undefined
      this.#moveSlow(this.#clock.now())
      this.#offer()
      // Without a free slow slot the timer would spin; a release comes then.
      if (this.#waitingFast.size > 0 && this.#slow < this.#capacity.slow) this.#watch(this.#clock.now())
    })
  }
}

const wakeSome = (waiting: Set<Waiting>, free: number): void => {
  let left = free
  for (const wake of [...waiting]) {
    if (left <= 0) return
    left -= 1
    waiting.delete(wake)
    wake()
  }
}
