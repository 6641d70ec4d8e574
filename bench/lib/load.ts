import autocannon from 'autocannon'
import type { ServerChild } from './child.ts'

export interface Request {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/**
 * Sends `amount` requests over keep-alive connections to a server on this machine and answers its CPU time per request in
 * microseconds. @throws when an answer was not 2xx
 */
export const cpuPerRequest = async (server: ServerChild, request: Request, amount: number): Promise<number> => {
  const before = await server.cpu()
  const result = await autocannon({
    url: `http://127.0.0.1:${String(server.ready.port)}${request.path}`,
    method: request.method,
    headers: { ...request.headers },
    ...(request.body === undefined ? {} : { body: request.body }),
    connections: 10,
    amount,
  })
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${result.non2xx} answers were not 2xx, ${result.errors} failed`)
  return ((await server.cpu()) - before) / amount
}
