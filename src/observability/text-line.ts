interface LogRecord {
  readonly time: string
  readonly level: string
  readonly msg?: string
  readonly [field: string]: unknown
}

/**
 * A JSON log line as one a person reads: `12:30:01.250 INFO  device linked device=ab12 took=40`. The stack of an error
 * follows on lines of its own; everything else stays on one, whatever the values hold.
 */
export const formatTextLine = (json: string): string => {
  const { time, level, msg, ...fields } = JSON.parse(json) as LogRecord
  const stacks: string[] = []
  let line = `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${escapeControl(msg ?? '')}`
  for (const [name, value] of Object.entries(fields)) {
    if (isErrorRecord(value)) {
      line += ` ${name}=${quote(value.message)}`
      stacks.push(...value.stack.split('\n').slice(1))
    } else line += ` ${name}=${quote(value)}`
  }
  return [line, ...stacks.map(escapeControl)].join('\n').concat('\n')
}

const isErrorRecord = (value: unknown): value is { message: string; stack: string } =>
  typeof value === 'object' &&
  value !== null &&
  'stack' in value &&
  typeof value.stack === 'string' &&
  'message' in value

const quote = (value: unknown): string => {
  if (typeof value !== 'string') return escapeControl(JSON.stringify(value))
  return /^[^\s"=]+$/.test(value) ? escapeControl(value) : JSON.stringify(value)
}

/** What a caller sends must not forge a line or steer a terminal. */
const escapeControl = (text: string): string =>
  text.replace(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
