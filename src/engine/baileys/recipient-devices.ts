import { jidDecode, USyncQuery, USyncUser, type WASocket } from 'baileys'
import { ParleyError } from '../../kernel/errors.ts'
import { orTimeout } from './engine-errors.ts'

export type DeviceLookUp = Pick<WASocket, 'getUSyncDevices' | 'executeUSyncQuery'>

/**
 * Makes sure that a message to a person goes to a device of theirs. Baileys takes a device query that nobody answered for
 * "no devices": the message would leave with a copy for our own phone only, be acknowledged, and never arrive. Known
 * devices come from the cache, from which Baileys then takes them too.
 *
 * @param own user parts of our own JIDs
 * @throws whatsapp_timeout when nobody answered; whatsapp_refused when the person has no device
 */
export const assertDevices = async (sock: DeviceLookUp, chat: string, own: readonly string[]): Promise<void> => {
  const devices = await sock.getUSyncDevices([chat], true, false)
  if (devices.length > 0 || own.includes(jidDecode(chat)?.user ?? '')) return
  const query = new USyncQuery().withContext('message').withDeviceProtocol().withUser(new USyncUser().withId(chat))
  orTimeout(await sock.executeUSyncQuery(query), 'asking for the devices of a contact')
  throw new ParleyError('whatsapp_refused', 'the recipient has no device that a message could be sent to')
}
