import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../kernel/clock.ts'

export interface DialTarget {
  /** An IP address: dialling never resolves. */
  readonly address: string
  readonly port: number
  /** The name whose certificate must be shown; undefined = no TLS. */
  readonly tlsName: string | undefined
}

/** Makes a socket that is connecting: `connect`, or `secureConnect` with TLS, says when it is. */
export type Dial = (target: DialTarget) => Socket

export const dial: Dial = ({ address, port, tlsName }) => {
  if (!isIP(address)) throw new TypeError(`not an IP address: ${address}`)
  if (tlsName === undefined) return connectTcp({ host: address, port, noDelay: true, keepAlive: true })
  return connectTls({
    host: address,
    port,
    // SNI must not be an address (RFC 6066, 3); the certificate is then checked against `host`.
    ...(isIP(tlsName) ? {} : { servername: tlsName }),
    ALPNProtocols: ['http/1.1'],
  }).setNoDelay(true)
}

/** Waits until the socket can be used. @throws its error, or when `ms` pass */
export const untilConnected = (socket: Socket, tls: boolean, ms: number, clock: Clock): Promise<void> =>
  new Promise((resolve, reject) => {
    const connected = tls ? 'secureConnect' : 'connect'
    const end = (error?: Error) => {
      cancel()
      socket.off(connected, onConnected)
      socket.off('error', end)
      if (!error) return resolve()
      // A late error of a socket that nobody waits for any more must not end the process.
      socket.on('error', () => undefined)
      socket.destroy()
      reject(error)
    }
    const onConnected = () => end()
    const cancel = clock.after(ms, () => end(new Error(`no connection within ${ms} ms`)))
    socket.once(connected, onConnected)
    socket.once('error', end)
  })
