import { jidNormalizedUser, type WASocket } from 'baileys'
import { messageOf } from '../../kernel/errors.ts'
import type { Logger } from '../../kernel/logger.ts'
import type { Intake } from '../index.ts'
import { toGroupTimer } from './chat-timer.ts'
import type { LidMap } from './lid-map.ts'
import { replaceListener } from './stock-listeners.ts'

/**
 * Stores what notifications say about the timers of groups before Baileys acknowledges them: one that could not be stored
 * stays unacknowledged and comes again. All others go to Baileys at once.
 */
export const keepGroupTimers = ({
  deviceId,
  sock,
  lidMap,
  intake,
  logger,
  onStorageFailure,
}: {
  readonly deviceId: string
  readonly sock: WASocket
  readonly lidMap: LidMap
  readonly intake: Intake
  readonly logger: Logger
  readonly onStorageFailure: () => void
}): void => {
  const stock = replaceListener(sock, 'CB:notification', (node) => {
    if (node.attrs.type !== 'w:gp2') return stock(node)
    const { me } = sock.authState.creds
    const self = { pn: jidNormalizedUser(me?.id), lid: me?.lid ? jidNormalizedUser(me.lid) : undefined }
    return toGroupTimer(node, self, lidMap)
      .then((timer) => timer && intake(deviceId, timer))
      .then(
        () => stock(node),
        (error: unknown) => {
          logger.error({ reason: messageOf(error) }, 'the timer of a group was not stored')
          onStorageFailure()
        },
      )
  })
}
