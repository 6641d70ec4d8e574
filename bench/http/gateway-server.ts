import type { SessionRegistry } from '../../src/sessions/registry.ts'
import { serveParent } from '../lib/child-side.ts'
import { composeGateway } from '../lib/composed-gateway.ts'

/** Nothing is behind a send: what is measured is the way to the handler. */
const { gateway, token } = await composeGateway('info')

const sendNothing: SessionRegistry['send'] = async (_, { chat }) => ({
  messageId: '3EB0C0FFEE0000000001',
  chat,
  status: 'server_ack',
  timestamp: 1767225600,
})
gateway.sessions.send = sendNothing

serveParent({ port: gateway.port, token }, { statements: () => gateway.storage.statementCount() })
