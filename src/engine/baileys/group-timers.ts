import { type BinaryNode, jidNormalizedUser, type WASocket } from 'baileys'
import type { Intake } from '../index.ts'
import { toGroupTimer } from './chat-timer.ts'
import type { LidMap } from './lid-map.ts'

/** Stores what a notification says about the timer of a group; resolves when that is committed. */
export const storeGroupTimer = async (
  node: BinaryNode,
  {
    deviceId,
    sock,
    lidMap,
    intake,
  }: { readonly deviceId: string; readonly sock: WASocket; readonly lidMap: LidMap; readonly intake: Intake },
): Promise<void> => {
  if (node.attrs.type !== 'w:gp2') return
  const { me } = sock.authState.creds
  const self = { pn: jidNormalizedUser(me?.id), lid: me?.lid ? jidNormalizedUser(me.lid) : undefined }
  const timer = await toGroupTimer(node, self, lidMap)
  if (timer) await intake(deviceId, timer)
}
