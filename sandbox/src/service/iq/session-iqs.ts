import { bytesOf, child, node } from '../../wire/node.ts'
import type { IqHandler, IqHandlers } from './iq-router.ts'

/** `ack`: a request whose only answer is an empty result. */
const accept: IqHandler = ({ result }) => result()

const removeCompanion: IqHandler = ({ device, request, context, result, error }) => {
  const target = context.accounts.deviceByJid(request.attrs.jid)
  // Only the phone may remove others; a companion removes itself.
  const allowed = target?.account === device.account && target.id !== 0 && (device.id === 0 || target === device)
  if (target === undefined) return error(404, 'no such device', 'unknown_device')
  if (!allowed) return error(403, 'not a companion of this account', 'forbidden')
  result()
  context.remove(target)
}

/** GraphQL queries of `w:mex` that clients make on their own; see Baileys' `Types/Mex`. */
const MEX_RESULTS: ReadonlyMap<string, object> = new Map(
  Object.entries({
    '23983697327930364': {
      xwa2_fetch_account_reachout_timelock: {
        is_active: false,
        time_enforcement_ends: '0',
        enforcement_type: 'DEFAULT',
      },
    },
    '24503548349331633': {
      xwa2_message_capping_info: { capping_status: 'NONE', total_quota: -1, used_quota: 0 },
    },
  }),
)

const mex: IqHandler = ({ request, result, error }) => {
  const data = MEX_RESULTS.get(request.attrs.query_id ?? '')
  if (data === undefined) return error(501, `unknown mex query ${request.attrs.query_id}`, 'unknown_stanza')
  try {
    JSON.parse(bytesOf(request)?.toString() ?? '')
  } catch (problem) {
    if (problem instanceof SyntaxError) return error(400, 'the variables of the query are not JSON')
    throw problem
  }
  result([node('result', {}, Buffer.from(JSON.stringify({ data })))])
}

/** Connection, server properties and what else has one fixed answer. */
export const sessionHandlers: IqHandlers = {
  'passive set active': ({ device, context, result }) => {
    result()
    context.activate(device)
  },
  'passive set passive': ({ device, result }) => {
    device.active = false
    result()
  },
  'w:p get ping': accept,
  'w:p get ': accept,
  'urn:xmpp:ping get ping': accept,
  'urn:xmpp:ping get ': accept,
  'urn:xmpp:whatsapp:dirty set clean': accept,
  'tos get request': accept,
  'tos set trackable': accept,
  'tos get trackable': accept,
  'w:stats get add': accept,
  'w:stats set add': accept,
  'w:mex get query': mex,
  'md set remove-companion-device': removeCompanion,
  // Codes: privacy tokens on 1:1 chats, privacy token with pictures, tokens issued to LIDs.
  'abt get props': ({ result }) =>
    result([
      node('props', { protocol: 1, hash: 'sandbox1', refresh: 86_400 }, [
        node('prop', { config_code: 10518, config_value: 'true' }),
        node('prop', { config_code: 9666, config_value: 'true' }),
        node('prop', { config_code: 14303, config_value: 'true' }),
      ]),
    ]),
  'w:m set media_conn': ({ context, result }) => {
    const { auth, ttlSeconds } = context.media.grant()
    const host = node('host', { hostname: context.mediaHost(), type: 'primary' }, [node('upload'), node('download')])
    result([node('media_conn', { auth, ttl: ttlSeconds, auth_ttl: ttlSeconds, max_buckets: 12 }, [host])])
  },
  'bot get bot': ({ result }) => result([node('bot', { v: 2 })]),
  'w:biz get business_profile': ({ request, context, result }) => {
    const business = context.accounts.byJid(child(request, 'profile')?.attrs.jid)
    if (business?.businessName === undefined) return result([node('business_profile', { v: 244 })])
    const profile = node('profile', { jid: business.jid, tag: '1' }, [
      node('description', {}, Buffer.from(business.about)),
    ])
    return result([node('business_profile', { v: 244 }, [profile])])
  },
}
