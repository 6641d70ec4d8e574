import { createHmac } from 'node:crypto'

const hmac = (secret: string, ...parts: readonly (string | Uint8Array)[]): string => {
  // The key is the secret's text as it stands: a secret of hex digits is not decoded.
  const mac = createHmac('sha256', Buffer.from(secret, 'utf8'))
  for (const part of parts) mac.update(part)
  return mac.digest('hex')
}

/** `sha256=<hex>` over the raw body, as the original signs. Cannot tell a replay. */
export const signBody = (secret: string, body: Uint8Array): string => `sha256=${hmac(secret, body)}`

/**
 * `t=<unix seconds>,v1=<hex>` over `<unix seconds>.<raw body>`: a receiver that also compares the time with its own
 * clock refuses what somebody recorded and sends again.
 */
export const signBodyWithTime = (secret: string, body: Uint8Array, unixSeconds: number): string =>
  `t=${unixSeconds},v1=${hmac(secret, `${unixSeconds}.`, body)}`
