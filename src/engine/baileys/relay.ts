import { AsyncLocalStorage } from 'node:async_hooks'
import type { WASocket } from 'baileys'
import { isParleyError } from '../../kernel/errors.ts'
import { brokenOff } from './output-gate.ts'

interface Relay {
  /** Why a ratchet of this message could not be stored. */
  failure: unknown
}

/** Set while a message of ours is being relayed. One for all sockets. */
const relaying = new AsyncLocalStorage<Relay>()

/**
 * `relayMessage` without Baileys' transaction around it. That lets one message of a session at a time through, from the
 * key look-ups to the socket, and writes after the message has left; and what goes on behind a message (giving the contact
 * our privacy token) writes into a transaction that has ended, so that it is lost and done again with every message.
 * Nothing here rests on that transaction: the Signal repository has a lock per address, the output gate lets nothing leave
 * before what it rests on is stored, and a chat's messages wait for each other in the outbox. Messages to different chats
 * then share commits.
 *
 * @throws what a ratchet of this message could not be stored for, when the database refused it
 */
export const freeRelay = (sock: WASocket): WASocket['relayMessage'] => {
  const { keys } = sock.authState
  const inTurn = keys.transaction.bind(keys)
  keys.transaction = (work, key) => (relaying.getStore() ? work() : inTurn(work, key))
  return async (...message) => {
    const relay: Relay = { failure: undefined }
    try {
      return await relaying.run(relay, () => sock.relayMessage(...message))
    } catch (error) {
      throw relay.failure ?? error
    }
  }
}

/**
 * What to do when a ratchet of the message being relayed could not be stored, which ends the connection. What the database
 * refused for what is in it is that message's failure; the others that were under way are tried again.
 */
export const failureOfRelay = (onKeyFailure: (error: Error) => void): ((error: unknown) => void) => {
  const relay = relaying.getStore()
  return (error) => {
    const isRefused = !isParleyError(error) || isParleyError(error, 'internal')
    if (isRefused && relay) relay.failure = error
    onKeyFailure(isRefused ? brokenOff(error) : error)
  }
}
