const REDACTED = '[redacted]'
/** Deep enough for a request with headers inside an error inside a field; what lies deeper is not looked at, but cut. */
const MAX_DEPTH = 5

const WHOLE_NAMES = new Set([
  'authorization',
  'cookie',
  'setcookie',
  'jwt',
  'creds',
  'credentials',
  'proxyurl',
  'keydata',
])
const ENDINGS = [
  'secret',
  'token',
  'password',
  'passphrase',
  'secretkey',
  'privatekey',
  'apikey',
  'encryptionkey',
  'datastoreuri',
]

/** Whether a field of this name holds a secret: `X-Admin-Secret`, `deviceSecret`, `access_token`, `Authorization`, ... */
export const isSecretName = (name: string): boolean => {
  const plain = name.replace(/[-_.\s]/g, '').toLowerCase()
  return WHOLE_NAMES.has(plain) || ENDINGS.some((ending) => plain.endsWith(ending))
}

/** The same fields with every secret replaced, at any depth. Errors, dates and bytes are handed on as they are. */
export const redactFields = (fields: object): object => redactObject(fields, 0) as object

const redactObject = (value: object, depth: number): unknown => {
  if (depth >= MAX_DEPTH) return '[deep]'
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth))
  const copy: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value)) {
    copy[name] = isSecretName(name) && isTelling(inner) ? REDACTED : redactValue(inner, depth)
  }
  return copy
}

/** `token: undefined` says that there is none, which is worth reading. */
const isTelling = (value: unknown): boolean => value !== undefined && value !== null && value !== '' && value !== false

const redactValue = (value: unknown, depth: number): unknown => {
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`
  if (typeof value !== 'object' || value === null || value instanceof Error || value instanceof Date) return value
  return redactObject(value, depth + 1)
}
