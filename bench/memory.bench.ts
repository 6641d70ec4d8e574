import { type Bench, busyness, round } from './lib/bench.ts'
import { asAdmin, startGateway } from './lib/gateway.ts'
import { makeHome } from './lib/home.ts'
import { pause } from './lib/measure.ts'
import { startWorld } from './lib/world.ts'

const SESSIONS = 1_000
const SETTLE_MS = 5_000
const MB = 1024 * 1024

/**
 * What an open, idle session holds. One process: it has everything loaded and one session open; then an API key with a
 * thousand linked devices is switched on. Garbage is collected before both readings for the figure per session; the
 * whole process is read as it stands.
 */
export const bench: Bench = {
  budget: { kb_per_session: { atMost: 100 }, rss_mb: { atMost: 350 } },
  async run(say) {
    say(`${SESSIONS} linked devices, idle, plain ws; then the same over wss; ${busyness()}`)
    const plain = await measure('ws', say)
    const tls = await measure('wss', say)
    return {
      kb_per_session: round(plain.rssKb),
      rss_mb: round(plain.rssMb),
      rss_mb_without_sessions: round(plain.baseMb),
      heap_kb_per_session: round(plain.heapKb),
      kb_per_session_wss: round(tls.rssKb),
      rss_mb_wss: round(tls.rssMb),
      sandbox_cpu_ms_per_login: round(plain.sandboxMs),
    }
  },
}

const measure = async (scheme: 'ws' | 'wss', say: (line: string) => void) => {
  await using world = await startWorld()
  const accounts = await world.link(SESSIONS + 1)
  await using home = await makeHome()
  await home.addDevices(accounts.slice(0, 1))
  const { keyId } = await home.addDevices(accounts.slice(1), { active: false })
  const address = { ws: world[scheme], noiseRoot: world.noiseRoot, tlsInsecure: scheme === 'wss' }
  await using gateway = await startGateway(home, address, { WHATSAPP_STARTUP_RECONNECT_CONCURRENCY: '50' })
  await world.untilActive(1)
  await pause(2_000)
  const before = await gateway.memory(true)
  const sandboxBefore = await world.child.cpu()
  await gateway.call('PATCH', `/admin/api-keys/${keyId}`, asAdmin, { is_active: true })
  await world.untilActive(SESSIONS + 1)
  const sandboxMs = ((await world.child.cpu()) - sandboxBefore) / 1_000 / SESSIONS
  await pause(SETTLE_MS)
  const standing = await gateway.memory(false)
  const after = await gateway.memory(true)
  await world.assertNoProblems()
  const rssKb = (after.rss - before.rss) / 1024 / SESSIONS
  say(
    `${scheme}: ${(before.rss / MB).toFixed(0)} MB with 1 session, ${(standing.rss / MB).toFixed(0)} MB with ${SESSIONS} more, ${(after.rss / MB).toFixed(0)} MB collected`,
  )
  return {
    rssKb,
    rssMb: standing.rss / MB,
    baseMb: before.rss / MB,
    heapKb: (after.heapUsed - before.heapUsed) / 1024 / SESSIONS,
    sandboxMs,
  }
}
