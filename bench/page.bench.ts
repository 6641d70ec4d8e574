import { type Bench, busyness, median, round } from './lib/bench.ts'
import { startChild } from './lib/child.ts'

const MESSAGES = 100_000
const WARM_UP = 30
const ROUNDS = 200
const LIMIT = 50

/** Listing a long chat: the newest page, and one with a hundredth of the messages behind it. */
export const bench: Bench = {
  // deep at most twice the first: the ratio is the bound
  budget: { deep_ratio_to_first: { atMost: 2 } },
  async run(say) {
    say(
      `GET /chats/{chat_jid}/messages, ${LIMIT} a page, in a chat of ${MESSAGES}; ${ROUNDS} of each in turn; ${busyness()}`,
    )
    await using gateway = await startChild(new URL('./page/gateway-server.ts', import.meta.url), [String(MESSAGES)])
    const { port, token, chat, deep } = gateway.ready as { port: number; token: string; chat: string; deep: string }
    const base = `http://127.0.0.1:${port}/chats/${chat}/messages?limit=${LIMIT}`
    const ask = async (url: string): Promise<number> => {
      const started = performance.now()
      const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
      const { data } = (await response.json()) as { data: { messages: unknown[] } }
      if (data.messages.length !== LIMIT) throw new Error(`a page of ${data.messages.length} messages`)
      return performance.now() - started
    }
    const times = { first: [] as number[], deep: [] as number[] }
    for (let i = 0; i < WARM_UP + ROUNDS; i++) {
      const first = await ask(base)
      const late = await ask(`${base}&before=${deep}`)
      if (i < WARM_UP) continue
      times.first.push(first)
      times.deep.push(late)
    }
    const [ms_first, ms_deep] = [median(times.first), median(times.deep)]
    return { ms_first: round(ms_first), ms_deep: round(ms_deep), deep_ratio_to_first: round(ms_deep / ms_first) }
  },
}
