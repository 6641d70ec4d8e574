// The text of a linking QR code: `ref,noise key,identity key,ADV secret[,platform]`, behind `...#` in newer clients.

export interface LinkingQr {
  readonly ref: string
  readonly noiseKey: Buffer
  readonly identityKey: Buffer
  readonly advSecret: Buffer
}

const BASE64_32_BYTES = /^[A-Za-z0-9+/]{43}=?$/

/** Reads the text of a linking code; undefined when it is none. */
export function parseLinkingQr(text: string): LinkingQr | undefined {
  const parts = text.trim().split('#').at(-1)!.split(',')
  // Newer clients append the platform number. A ref itself may hold commas, so the keys are counted from the end.
  if (parts.length > 4 && !BASE64_32_BYTES.test(parts.at(-1)!)) parts.pop()
  const keys = parts.splice(-3)
  const ref = parts.join(',')
  if (ref === '' || keys.length !== 3 || !keys.every((key) => BASE64_32_BYTES.test(key))) return undefined
  const [noiseKey, identityKey, advSecret] = keys.map((key) => Buffer.from(key, 'base64'))
  return { ref, noiseKey: noiseKey!, identityKey: identityKey!, advSecret: advSecret! }
}
