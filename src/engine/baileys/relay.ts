import { AsyncLocalStorage } from 'node:async_hooks'
import type { WASocket } from 'baileys'

/** Set while a message of ours is being relayed. One for all sockets. */
const relaying = new AsyncLocalStorage<true>()

/**
 * `relayMessage` without Baileys' transaction around it. That lets one message of a session at a time through, from the
 * key look-ups to the socket, and writes after the message has left; and what goes on behind a message (giving the contact
 * our privacy token) writes into a transaction that has ended, so that it is lost and done again with every message.
 * Nothing here rests on that transaction: the Signal repository has a lock per address and commits before a ciphertext
 * is used, and a chat's messages wait for each other in the outbox. Messages to different chats then share commits.
 */
export const freeRelay = (sock: WASocket): WASocket['relayMessage'] => {
  const { keys } = sock.authState
  const inTurn = keys.transaction.bind(keys)
  keys.transaction = (work, key) => (relaying.getStore() ? work() : inTurn(work, key))
  return (...message) => relaying.run(true, () => sock.relayMessage(...message))
}
