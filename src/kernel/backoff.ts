export type Jitter =
  /** The wait as computed. */
  | 'none'
  /** Evenly from 0 to the wait: spreads a herd the most. */
  | 'full'
  /** Half the wait fixed, half random: spreads a herd and still never comes back at once. */
  | 'equal'

export interface Backoff {
  readonly baseMs: number
  readonly capMs: number
  /** 2 unless said. */
  readonly factor?: number
  readonly jitter: Jitter
}

/**
 * Milliseconds to wait after failure number `failures` (1 = the first): `base * factor^(failures - 1)`, at most the cap,
 * then jittered.
 * @param random as Math.random
 */
export const backoffDelay = (
  { baseMs, capMs, factor = 2, jitter }: Backoff,
  failures: number,
  random: () => number = Math.random,
): number => {
  const wait = Math.min(capMs, baseMs * factor ** Math.max(0, failures - 1))
  if (jitter === 'none') return wait
  return Math.round(jitter === 'full' ? random() * wait : wait / 2 + (random() * wait) / 2)
}
