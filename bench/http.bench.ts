import { type Bench, busyness, median, round } from './lib/bench.ts'
import { type ServerChild, startChild } from './lib/child.ts'
import { cpuPerRequest, type Request } from './lib/load.ts'

const WARM_UP = 5_000
const REQUESTS = 20_000
const ROUNDS = 5

const BODY = JSON.stringify({ text: 'Hello from the bench, with a text of an ordinary length.' })

/** What the way from the socket to the handler costs: guards, validation, envelope, request id, log line. */
export const bench: Bench = {
  budget: {
    cpu_ratio_to_raw: { atMost: 2.2 },
    status_per_cpu_s: { atLeast: 12_000 },
    queries_per_request: { atMost: 0 },
  },
  async run(say) {
    say(
      `POST /chats/{chat_jid}/messages, ${BODY.length} bytes of JSON, nothing sent; against node:http that parses and answers the same`,
    )
    say(`${ROUNDS} rounds of ${REQUESTS} requests each after ${WARM_UP} to warm up, 10 connections; ${busyness()}`)
    await using gateway = await startChild(new URL('./http/gateway-server.ts', import.meta.url))
    await using raw = await startChild(new URL('./http/raw-server.ts', import.meta.url))
    const authorization = `Bearer ${String(gateway.ready.token)}`
    const post: Request = {
      method: 'POST',
      path: '/chats/6281234567890@s.whatsapp.net/messages',
      headers: { authorization, 'content-type': 'application/json' },
      body: BODY,
    }
    const status: Request = { method: 'GET', path: '/devices/me/status', headers: { authorization } }
    for (const [server, request] of [
      [gateway, post],
      [gateway, status],
      [raw, post],
    ] as const)
      await cpuPerRequest(server, request, WARM_UP)

    const before = Number(await gateway.ask('statements'))
    const rounds = await measure(gateway, raw, post, status, say)
    const queries = Number(await gateway.ask('statements')) - before
    return {
      cpu_ratio_to_raw: round(median(rounds.map(({ posted, rawPosted }) => posted / rawPosted))),
      cpu_us_per_post: round(median(rounds.map(({ posted }) => posted))),
      raw_cpu_us_per_post: round(median(rounds.map(({ rawPosted }) => rawPosted))),
      status_per_cpu_s: round(median(rounds.map(({ asked }) => 1e6 / asked))),
      queries_per_request: queries / (ROUNDS * REQUESTS * 2),
    }
  },
}

const measure = async (
  gateway: ServerChild,
  raw: ServerChild,
  post: Request,
  status: Request,
  say: (line: string) => void,
) => {
  const rounds: { posted: number; rawPosted: number; asked: number }[] = []
  for (let i = 1; i <= ROUNDS; i++) {
    const posted = await cpuPerRequest(gateway, post, REQUESTS)
    const rawPosted = await cpuPerRequest(raw, post, REQUESTS)
    const asked = await cpuPerRequest(gateway, status, REQUESTS)
    rounds.push({ posted, rawPosted, asked })
    say(
      `round ${i}: POST ${posted.toFixed(1)} us, raw ${rawPosted.toFixed(1)} us, status ${asked.toFixed(1)} us of CPU`,
    )
  }
  return rounds
}
