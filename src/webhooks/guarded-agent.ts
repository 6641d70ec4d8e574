import type { Socket } from 'node:net'
import { Agent, type buildConnector } from 'undici'
import type { Clock } from '../kernel/clock.ts'
import type { AddressGuard } from './address-guard.ts'
import { type Dial, dial as dialDefault, untilConnected } from './dial.ts'

const CONNECT_TIMEOUT_MS = 3_000
/** Of the addresses of a name, at most these are tried. */
const MAX_ADDRESSES = 3

export interface GuardedDial {
  readonly guard: AddressGuard
  readonly clock: Clock
  /** Opens sockets; tests give one that cannot leave the machine. */
  readonly dial?: Dial | undefined
}

/**
 * The only way out for addresses that users give: every connection is dialled by us, to an address that the guard has just
 * checked; no proxy of the environment is used. Whoever asks bounds time and size.
 */
export const guardedAgent = (parts: GuardedDial): Agent =>
  new Agent({
    connect: (options, callback) => {
      connect(parts, options).then(
        (socket) => callback(null, socket),
        (error: Error) => callback(error, null),
      )
    },
    allowH2: false,
    pipelining: 1,
    connections: null,
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 60_000,
    headersTimeout: 0,
    bodyTimeout: 0,
    connectTimeout: 0,
    maxHeaderSize: 16 * 1024,
  })

const connect = async (
  { guard, clock, dial = dialDefault }: GuardedDial,
  { hostname, port, protocol }: buildConnector.Options,
): Promise<Socket> => {
  const tls = protocol === 'https:'
  const host = hostname.replace(/^\[|\]$/g, '')
  const addresses = (await guard.resolve(host)).slice(0, MAX_ADDRESSES)
  let failure: unknown
  for (const address of addresses) {
    try {
      const socket = dial({
        address,
        port: port === '' ? (tls ? 443 : 80) : Number(port),
        tlsName: tls ? host : undefined,
      })
      await untilConnected(socket, tls, CONNECT_TIMEOUT_MS, clock)
      return socket
    } catch (error) {
      failure = error
    }
  }
  throw failure
}
