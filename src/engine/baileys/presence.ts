import type { BinaryNode, WASocket } from 'baileys'
import { messageOf } from '../../kernel/errors.ts'
import { bareJid, kindOfJid } from '../../kernel/jid.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { EngineSignal } from '../index.ts'
import type { LidMap } from './lid-map.ts'

/** Turns what WhatsApp tells about who is online and who types into signals, in order. Nothing of it is kept. */
export const listenToPresence = (deps: {
  readonly sock: WASocket
  readonly lidMap: LidMap
  readonly logger: Logger
  readonly onSignal: (signal: EngineSignal) => void
}): void => {
  const { sock, lidMap, logger, onSignal } = deps
  let tail: Promise<void> = Promise.resolve()
  const tell = (make: () => Promise<EngineSignal | undefined>) => {
    tail = tail.then(async () => {
      try {
        const signal = await make()
        if (signal) onSignal(signal)
      } catch (error) {
        logger.warn({ reason: messageOf(error) }, 'a presence was not told')
      }
    })
  }
  sock.ws.on('CB:presence', ({ attrs }: BinaryNode) =>
    tell(async () => {
      const { from, type, last } = attrs
      if (!from || !isPerson(from)) return undefined
      const jid = bareJid(from)
      const seen = Number(last)
      return {
        type: 'presence',
        jid,
        ...(await namesOf(jid, lidMap)),
        available: type !== 'unavailable',
        lastSeenAt: Number.isSafeInteger(seen) && seen > 0 ? seen * 1000 : undefined,
      }
    }),
  )
  sock.ws.on('CB:chatstate', ({ attrs, content }: BinaryNode) =>
    tell(async () => {
      const [shown] = Array.isArray(content) ? content : []
      const sender = bareJid(attrs.participant ?? attrs.from ?? '')
      if (!attrs.from || !shown || !isPerson(sender)) return undefined
      if (shown.tag !== 'composing' && shown.tag !== 'paused') return undefined
      return {
        type: 'chat_presence',
        chat: bareJid(attrs.from),
        sender,
        ...(await namesOf(sender, lidMap)),
        isGroup: kindOfJid(attrs.from) === 'group',
        state: shown.tag === 'composing' && shown.attrs?.media === 'audio' ? 'recording' : shown.tag,
      }
    }),
  )
}

const isPerson = (jid: string): boolean => kindOfJid(jid) === 'pn' || kindOfJid(jid) === 'lid'

const namesOf = async (jid: string, lidMap: LidMap) =>
  kindOfJid(jid) === 'lid'
    ? { lid: jid, pn: bareOrNone(await lidMap.storedPn(jid)) }
    : { pn: jid, lid: bareOrNone(await lidMap.storedLid(jid)) }

const bareOrNone = (jid: string | undefined): string | undefined => (jid === undefined ? undefined : bareJid(jid))
