import { isIPv6 } from 'node:net'
import { type Dial, type DialTarget, dial } from '../../src/webhooks/dial.ts'

/**
 * A dial that cannot leave the machine: a target outside 127.0.0.0/8 and ::1 is written down and refused, whatever let it
 * come so far. Every test that sends webhooks uses it.
 */
export const makeLoopbackDial = (): { readonly dial: Dial; readonly escapes: DialTarget[] } => {
  const escapes: DialTarget[] = []
  return {
    escapes,
    dial: (target) => {
      const isLoopback = isIPv6(target.address) ? target.address === '::1' : /^127\./.test(target.address)
      if (isLoopback) return dial(target)
      escapes.push(target)
      throw new Error(`the test's dial refuses ${target.address}`)
    },
  }
}
