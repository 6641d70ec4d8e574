import pino from 'pino'
import type { Logger } from '../kernel/logger.ts'
import { redactFields } from './redact.ts'
import { formatTextLine } from './text-line.ts'

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly format: 'text' | 'json'
  /** Takes whole lines; standard output unless given. */
  readonly write?: (line: string) => void
}

/** The application's logger; disposing it writes out what is still buffered. */
export interface RootLogger extends Logger, Disposable {}

/**
 * Lines are buffered and written when 4 KB have gathered or half a second has passed, because one write per request
 * costs more than the rest of logging it. Errors are written at once.
 */
export const createLogger = ({ level, format, write }: LoggerOptions): RootLogger => {
  const buffer = write ? undefined : pino.destination({ dest: 1, sync: false, minLength: 4096, periodicFlush: 500 })
  const emit = write ?? ((line: string) => void buffer!.write(line))
  const flush = () => buffer?.flushSync()
  const sink = { write: format === 'json' ? emit : (line: string) => emit(formatTextLine(line)) }
  const root = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.err, error: pino.stdSerializers.err },
    },
    sink,
  )
  return Object.assign(wrap(root, flush), { [Symbol.dispose]: flush })
}

const wrap = (inner: pino.Logger, flush: () => void): Logger => ({
  debug: (fields, message) => {
    // Redaction costs a walk through the fields, which a line that nobody wants should not pay.
    if (inner.isLevelEnabled('debug')) inner.debug(redactFields(fields), message)
  },
  info: (fields, message) => {
    if (inner.isLevelEnabled('info')) inner.info(redactFields(fields), message)
  },
  warn: (fields, message) => inner.warn(redactFields(fields), message),
  error: (fields, message) => {
    inner.error(redactFields(fields), message)
    flush()
  },
  child: (fields) => wrap(inner.child(redactFields(fields)), flush),
})
