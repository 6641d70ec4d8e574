import { createHmac, timingSafeEqual } from 'node:crypto'
import { EventEmitter, on } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A webhook as it came. */
export interface ReceivedEvent {
  readonly headers: IncomingHttpHeaders
  /** The raw body: signatures are made over it. */
  readonly raw: Buffer
  readonly event: {
    readonly id: string
    readonly event_type: string
    readonly device_id: string
    readonly sequence: number
    readonly attempt: number
    readonly timestamp: string
    readonly data: Readonly<Record<string, unknown>>
  }
}

/** A webhook receiver on this machine. */
export interface Receiver extends AsyncDisposable {
  readonly url: string
  readonly received: readonly ReceivedEvent[]
  /** The first event, already here or still to come, that fits. @throws after `timeoutMs` */
  next(fits: (event: ReceivedEvent['event']) => boolean, timeoutMs?: number): Promise<ReceivedEvent>
  /** How requests are answered from now on; 200 at the start. */
  answer: (received: ReceivedEvent) => number
}

export const startReceiver = async (onEvent?: (received: ReceivedEvent) => void): Promise<Receiver> => {
  const received: ReceivedEvent[] = []
  const arrivals = new EventEmitter()
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const raw = Buffer.concat(parts)
      const event = JSON.parse(raw.toString('utf8')) as ReceivedEvent['event']
      const arrived = { headers: request.headers, raw, event }
      received.push(arrived)
      response.writeHead(receiver.answer(arrived)).end()
      onEvent?.(arrived)
      arrivals.emit('event', arrived)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    received,
    answer: () => 200,
    next: async (fits, timeoutMs = 10_000) => {
      const known = received.find(({ event }) => fits(event))
      if (known) return known
      const signal = AbortSignal.timeout(timeoutMs)
      for await (const [arrived] of on(arrivals, 'event', { signal }) as AsyncIterable<[ReceivedEvent]>)
        if (fits(arrived.event)) return arrived
      throw new Error('unreachable')
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return receiver
}

/** As a receiver should: HMAC-SHA256 over the raw body with the secret's text as key, compared in constant time. */
export const isSignedBy = (secret: string, { headers, raw }: ReceivedEvent): boolean => {
  const wanted = Buffer.from(`sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`)
  const given = Buffer.from(String(headers['x-webhook-signature'] ?? ''))
  return wanted.length === given.length && timingSafeEqual(wanted, given)
}
