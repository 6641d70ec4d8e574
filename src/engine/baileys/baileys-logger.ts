import type { ChatMutation } from 'baileys'
import type { Logger } from '../../kernel/logger.ts'
import type { StockHandlers } from './stock-handlers.ts'

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

/** Told of each mutation of the app state, after its MACs were verified; `fromFull` of a first synchronisation. */
export type OnMutation = (mutation: ChatMutation, fromFull: boolean) => void

const ORDER = ['debug', 'info', 'warn', 'error']

/**
 * Hands on what Baileys says, at `level` and above, as words only: its fields hold whole stanzas, credentials and
 * session records, and none of that may reach a log.
 *
 * One line is taken for what it holds: before Baileys turns a mutation of the app state into its events, which drop the
 * index, the time and the kind of half of them and are merged in a buffer, it shows the mutation whole. And `stock` hears
 * what it needs to withhold acknowledgements and to learn of errors that Baileys swallows.
 */
export const createBaileysLogger = (
  logger: Logger,
  level: string,
  onMutation?: OnMutation,
  stock?: StockHandlers,
): BaileysLogger => {
  const from = ORDER.indexOf(level.toLowerCase())
  const say = (severity: 'debug' | 'info' | 'warn' | 'error') => (fields: unknown, message?: string) => {
    // every ending of a connection is told by us, with its cause; a restart after pairing is no error
    if (message === 'stream errored out') return
    if (from < 0 || ORDER.indexOf(severity) < from) return
    logger[severity](reasonOf(fields), message ?? (typeof fields === 'string' ? fields : 'baileys'))
  }
  const [debug, warn, error] = [say('debug'), say('warn'), say('error')]
  const adapted: BaileysLogger = {
    level: level.toLowerCase(),
    child: () => adapted,
    trace: (fields, message) => {
      if (message === 'processing sync action') tellMutation(fields, onMutation)
    },
    debug: (fields, message) => {
      stock?.onDebug(fields, message)
      debug(fields, message)
    },
    info: say('info'),
    warn: (fields, message) => {
      stock?.onWarn(fields, message)
      warn(fields, message)
    },
    error: (fields, message) => {
      if (!stock?.onError(fields, message)) error(fields, message)
    },
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

const tellMutation = (fields: unknown, onMutation: OnMutation | undefined): void => {
  const { syncAction, initialSync } = fields as { syncAction: ChatMutation; initialSync: boolean }
  onMutation?.(syncAction, initialSync)
}
