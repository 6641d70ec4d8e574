import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { serveParent } from '../lib/child-side.ts'

let count = 0
let first = 0
let last = 0
let bodies: [Buffer, number][] = []

/** Milliseconds on the machine's monotonic clock. */
const now = (): number => Number(process.hrtime.bigint()) / 1e6

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

/** A port where nobody listens: taken once and given back. */
const freed = createTcpServer().listen(0, '127.0.0.1')
await once(freed, 'listening')
const { port: deadPort } = freed.address() as AddressInfo
freed.close()

serveParent(
  { port: (server.address() as AddressInfo).port, deadPort },
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
