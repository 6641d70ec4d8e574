/**
 * `bin/start --sandbox`: everything a newcomer needs to play: the gateway, a simulated WhatsApp with people in it, two
 * devices that are linked already, and a page that shows each webhook as it comes. What was made is kept in data/play.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createDevices, DeviceApi } from './lib/api.ts'
import { type RunningGateway, startGatewayProcess } from './lib/gateway.ts'
import { Inbox } from './lib/inbox.ts'
import { type RunningSandbox, startSandboxProcess } from './lib/sandbox.ts'

const SANDBOX_PORT = process.env.SANDBOX_PORT ?? '7100'
const INBOX_PORT = Number(process.env.INBOX_PORT ?? '7101')
const home = join(import.meta.dirname, '..', 'data', 'play')
const notes = join(home, 'play.json')

/** What the last run made, so that this one goes on with it. */
interface Notes {
  readonly apiKey: string
  readonly devices: readonly { readonly deviceId: string; readonly token: string; readonly phone: string }[]
  readonly secrets: Readonly<Record<string, string>>
}

const say = (line = ''): void => void process.stdout.write(`${line}\n`)

await mkdir(home, { recursive: true, mode: 0o700 })
await using stack = new AsyncDisposableStack()
const known = existsSync(notes) ? (JSON.parse(readFileSync(notes, 'utf8')) as Notes) : undefined
const sandbox = stack.use(
  await startSandboxProcess([
    ...['--port', SANDBOX_PORT, '--tls-port', '0', '--seed', 'parley-play', '--state', join(home, 'sandbox.json')],
    ...(known ? [] : ['--people', '3']),
  ]),
)
const gateway = stack.use(await startGatewayProcess({ home, sandbox, env: settings() }))
const inbox = stack.use(await Inbox.open(INBOX_PORT))
const made = known ?? (await furnish(gateway, sandbox))
await linkAll(made)
show(made)

const stop = () => {
  say('Stopping ...')
  stack.disposeAsync().then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`)
      process.exit(1)
    },
  )
}
process.once('SIGINT', stop)
process.once('SIGTERM', stop)
await new Promise(() => undefined)

/** The caller's own settings win; the port is the usual one. */
function settings(): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => /^(SERVER|HTTP|LOG|WEBHOOK|WEBHOOKS|WHATSAPP)_/.test(name))
  return { SERVER_PORT: '7001', ...(Object.fromEntries(own) as Record<string, string>) }
}

async function furnish(running: RunningGateway, world: RunningSandbox): Promise<Notes> {
  const people = world.people.slice(0, 2)
  const { apiKey, devices } = await createDevices(
    running.url,
    running.adminSecret,
    people.map(({ name }) => name),
  )
  const secrets: Record<string, string> = {}
  for (const device of devices) {
    const { data } = await device.call<{ secret: string }>('POST', '/webhooks', {
      url: `${inbox.url}/hook/${device.deviceId}`,
    })
    secrets[device.deviceId] = data.secret
  }
  const fresh: Notes = {
    apiKey,
    secrets,
    devices: devices.map(({ deviceId, token }, i) => ({ deviceId, token, phone: people[i]!.phone })),
  }
  writeFileSync(notes, JSON.stringify(fresh, null, 2), { mode: 0o600 })
  return fresh
}

async function linkAll({ devices, secrets }: Notes): Promise<void> {
  for (const { deviceId, token, phone } of devices) {
    inbox.secrets.set(deviceId, secrets[deviceId]!)
    const device = new DeviceApi(gateway.url, deviceId, token)
    const { data } = await device.call<{ client_loaded: boolean; is_logged_in: boolean }>('GET', '/devices/me/status')
    if (!data.is_logged_in && !data.client_loaded)
      await sandbox.call('POST', `/sandbox/people/${phone}/scan`, { qr: await device.qrText() })
    await device.untilConnected()
  }
}

function show({ apiKey, devices }: Notes): void {
  const [a, b] = devices as [Notes['devices'][number], Notes['devices'][number]]
  say(`
Parley              ${gateway.url}    its API pages: ${gateway.url}/docs/
Inbox               ${inbox.url}    every webhook as it comes
Simulated WhatsApp  ${sandbox.http}/sandbox/    people, their phones, their chats

Two devices are linked: ${a.phone} and ${b.phone}. Paste these:

  FIRST='${a.token}'
  SECOND='${b.token}'
  ADMIN='${gateway.adminSecret}'
  API_KEY='${apiKey}'

  # the first writes to the second; watch the inbox
  curl ${gateway.url}/chats/${b.phone}/messages -H "Authorization: Bearer $FIRST" \\
    -H 'Content-Type: application/json' -d '{"text":"Hello!"}'

  # a person writes from their phone
  curl ${sandbox.http}/sandbox/people/${b.phone}/send -d '{"to":"${a.phone}","text":"Hi from my phone"}'

  # how the second device is
  curl ${gateway.url}/devices/me/status -H "Authorization: Bearer $SECOND"

  # all devices of all customers
  curl ${gateway.url}/admin/devices -H "X-Admin-Secret: $ADMIN"

Everything is kept in data/play; delete that folder to begin anew. Ctrl-C stops.`)
}
