import type { Logger } from '../../kernel/logger.ts'

/** Baileys' logger interface; `level` is what it branches on. */
export interface BaileysLogger {
  level: string
  child(fields: object): BaileysLogger
  trace(fields: unknown, message?: string): void
  debug(fields: unknown, message?: string): void
  info(fields: unknown, message?: string): void
  warn(fields: unknown, message?: string): void
  error(fields: unknown, message?: string): void
}

const ORDER = ['debug', 'info', 'warn', 'error']

/**
 * Hands on what Baileys says, at `level` and above, as words only: its fields hold whole stanzas, credentials and
 * session records, and none of that may reach a log.
 */
export const createBaileysLogger = (logger: Logger, level: string): BaileysLogger => {
  const from = ORDER.indexOf(level.toLowerCase())
  const say = (severity: 'debug' | 'info' | 'warn' | 'error') => (fields: unknown, message?: string) => {
    // every ending of a connection is told by us, with its cause; a restart after pairing is no error
    if (message === 'stream errored out') return
    if (from < 0 || ORDER.indexOf(severity) < from) return
    logger[severity](reasonOf(fields), message ?? (typeof fields === 'string' ? fields : 'baileys'))
  }
  const adapted: BaileysLogger = {
    level: level.toLowerCase(),
    child: () => adapted,
    trace: () => undefined,
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
  }
  return adapted
}

const reasonOf = (fields: unknown): object => {
  if (typeof fields !== 'object' || fields === null) return {}
  const { err, error, trace } = fields as { err?: unknown; error?: unknown; trace?: unknown }
  const failure = err ?? error
  if (failure instanceof Error) return { reason: failure.message }
  return typeof trace === 'string' ? { reason: trace.split('\n')[0] } : {}
}
