import { node } from '../wire/node.ts'
import type { Device } from './account.ts'
import type { Disconnect } from './faults.ts'
import type { Peer } from './peer.ts'

/** Where a client is told to connect after a failure; clients only log it. */
const LOCATION = 'sbx'

/** What a peer may offer beyond `Peer`: a connection that can go silent without closing. */
export interface StallablePeer extends Peer {
  stall(): void
}

/** Tells a device why its connection ends, and ends it. False when it had none. */
export function endConnection(device: Device, how: Disconnect): boolean {
  const { peer } = device
  if (peer === undefined) return false
  endPeer(peer, how)
  return true
}

/** The same for a connection that is not a device's (yet). */
export function endPeer(peer: Peer, how: Disconnect) {
  switch (how.kind) {
    case 'close':
      return peer.close('closed by a fault')
    case 'stall':
      if ('stall' in peer) (peer as StallablePeer).stall()
      else peer.close('stalled by a fault')
      return
    case 'stream_error':
      peer.deliver(node('stream:error', { code: how.code }))
      return peer.close(`stream error ${how.code}`)
    case 'replaced':
      peer.deliver(node('stream:error', {}, [node('conflict', { type: 'replaced' })]))
      return peer.close('replaced')
    case 'device_removed':
      // Baileys calls it logged out only with the code.
      peer.deliver(node('stream:error', { code: 401 }, [node('conflict', { type: 'device_removed' })]))
      return peer.close('device removed')
    case 'failure': {
      const { reason, expireSeconds } = how
      peer.deliver(node('failure', { reason, location: LOCATION, expire: expireSeconds }))
      return peer.close(`failure ${reason}`)
    }
    case 'xmlstreamend':
      peer.deliver(node('xmlstreamend'))
      return peer.close('end of stream')
  }
}
