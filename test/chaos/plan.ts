import type { Dice } from './dice.ts'

/**
 * The stretches between two steps in which a crash must cost nothing:
 *
 *   id_commit_to_send  the message and its id are durable, its stanza is not on the wire yet
 *   send_to_ack        the stanza was seen at the service, its ack was not sent (half the time the message is lost, too)
 *   decrypt_to_commit  the ratchet and the plaintext's journal are durable; message, event and deliveries are not
 *   commit_to_ack      message and event are durable, the service has no receipt for the stanza
 *   post_to_marked     the receiver has the POST, the delivery is not marked
 */
export const WINDOWS = [
  'id_commit_to_send',
  'send_to_ack',
  'decrypt_to_commit',
  'commit_to_ack',
  'post_to_marked',
] as const
export type Window = (typeof WINDOWS)[number]

/** How a life of the gateway is to end. */
export type Aim = Window | 'random'

/** From this many kills on, a window that was hit fewer than five times makes the run worthless, */
export const KILLS_FOR_FULL_COVER = 50
export const LEAST_HITS = 5
/** and so does a fault of the receiver that was done fewer than three times. */
export const LEAST_FAULTS = 3

/** How often each window and each fault must have been hit. */
export const leastHits = (kills: number): { readonly windows: number; readonly faults: number } => {
  if (kills >= KILLS_FOR_FULL_COVER) return { windows: LEAST_HITS, faults: LEAST_FAULTS }
  const least = kills >= WINDOWS.length ? 1 : 0
  return { windows: least, faults: least }
}

/** A good tenth of the kills for each window, the rest at random moments. */
export const planKills = (kills: number, dice: Dice): Aim[] => {
  const each = Math.max(
    1,
    Math.min(Math.floor(kills / WINDOWS.length), Math.max(LEAST_HITS + 1, Math.ceil(kills * 0.12))),
  )
  const aims: Aim[] = WINDOWS.flatMap((window) => Array<Aim>(each).fill(window)).slice(0, kills)
  while (aims.length < kills) aims.push('random')
  return dice.shuffle(aims)
}
