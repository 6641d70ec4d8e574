import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveParent } from '../lib/child-side.ts'

/** The least that any server does: reads the body, parses it, answers JSON of the same form as the gateway's. */
const server = createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => {
    const { text } = JSON.parse(Buffer.concat(parts).toString()) as { text: string }
    const body = JSON.stringify({
      status: true,
      code: 200,
      message: 'Message sent',
      data: {
        message_id: '3EB0C0FFEE0000000001',
        chat_jid: '6281234567890@s.whatsapp.net',
        status: text ? 'server_ack' : '',
        timestamp: 1767225600,
      },
    })
    response.writeHead(200, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    })
    response.end(body)
  })
})
server.listen(0, '127.0.0.1', () => serveParent({ port: (server.address() as AddressInfo).port }))
