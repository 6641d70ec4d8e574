import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveParent } from '../lib/child-side.ts'
import { now } from '../lib/measure.ts'
import { freePort } from '../lib/ports.ts'

let count = 0
let first = 0
let last = 0
let bodies: [Buffer, number][] = []

const server = createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => {
    last = now()
    if (count === 0) first = last
    count += 1
    // parsed when somebody asks, so that the receiver stays fast
    bodies.push([parts.length === 1 ? parts[0]! : Buffer.concat(parts), last])
    response.writeHead(200, { 'content-length': 0 }).end()
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')

serveParent(
  { port: (server.address() as AddressInfo).port, deadPort: await freePort() },
  {
    count: () => count,
    span: () => ({ first, last }),
    arrivals: () =>
      bodies.map(([body, at]) => {
        const { data } = JSON.parse(body.toString()) as { data: { message_id?: string } }
        return [data.message_id ?? '', at]
      }),
    forget: () => {
      count = 0
      bodies = []
    },
  },
)
