/** `npm run demo`: the whole story on this machine, from an empty database, without a phone and without the internet. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDevices, DeviceApi } from './lib/api.ts'
import { startGatewayProcess } from './lib/gateway.ts'
import { isSignedBy, startReceiver } from './lib/receiver.ts'
import { startSandboxProcess } from './lib/sandbox.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const must = (holds: boolean, otherwise: string): void => {
  if (!holds) throw new Error(otherwise)
}

const started = performance.now()
const home = await mkdtemp(join(tmpdir(), 'parley-demo-'))
try {
  await tell()
  say(`Done in ${((performance.now() - started) / 1000).toFixed(1)} s.`)
} finally {
  await rm(home, { recursive: true, force: true })
}

async function tell(): Promise<void> {
  await using sandbox = await startSandboxProcess(['--port', '0', '--people', '2'])
  const [ada, ben] = sandbox.people
  must(ada !== undefined && ben !== undefined, 'the sandbox has no people')
  say(
    `A simulated WhatsApp runs at ${sandbox.ws}. ${ada!.name} (${ada!.phone}) and ${ben!.name} (${ben!.phone}) live in it, each with a phone.`,
  )

  let gateway = await startGatewayProcess({ home, sandbox })
  try {
    say(`Parley runs at ${gateway.url} on an empty SQLite database; the admin secret was generated.`)
    const created = await createDevices(gateway.url, gateway.adminSecret, [ada!.name, ben!.name])
    let [first, second] = created.devices as [DeviceApi, DeviceApi]
    say(`The admin issued an API key to Acme Corp, which registered two devices under it.`)

    await using receiver = await startReceiver()
    const hook = { url: receiver.url, events: ['message.*', 'connection.*'] }
    const { data: webhook } = await second.call<{ secret: string }>('POST', '/webhooks', hook)
    say(`${ben!.name}'s device has a webhook at ${receiver.url}.`)

    for (const [device, person] of [
      [first, ada!],
      [second, ben!],
    ] as const) {
      const { device_jid } = await sandbox.call<{ device_jid: string }>(
        'POST',
        `/sandbox/people/${person.phone}/scan`,
        {
          qr: await device.qrText(),
        },
      )
      await device.untilConnected()
      say(`${person.name}'s phone scanned the QR code: the device is linked as ${device_jid}.`)
    }

    await first.call('POST', `/chats/${ben!.phone}/messages`, { text: 'Hello Ben, this is Ada over HTTP.' })
    const hello = await receiver.next(
      ({ event_type, data }) => event_type === 'message.received' && data.is_from_me === false,
    )
    must(hello.event.data.text === 'Hello Ben, this is Ada over HTTP.', 'the webhook told another text')
    must(isSignedBy(webhook.secret, hello), 'the signature of the webhook does not hold')
    say(
      `Ada wrote to Ben with one POST. Ben's webhook got "${String(hello.event.data.text)}", and its signature holds.`,
    )

    const answer = await second.call<{ message_id: string }>('POST', `/chats/${ada!.phone}/messages`, {
      text: 'Hello Ada!',
    })
    const { messages } = await sandbox.call<{ messages: { text: string; from_me: boolean }[] }>(
      'GET',
      `/sandbox/people/${ada!.phone}/messages?wait_ms=10000&from=${ben!.phone}`,
    )
    must(
      messages.some(({ text }) => text === 'Hello Ada!'),
      "Ada's phone did not get the answer",
    )
    await receiver.next(
      ({ event_type, data }) => event_type === 'message.delivered' && data.message_id === answer.data.message_id,
    )
    say(`Ben answered. Ada's phone decrypted "Hello Ada!", and Ben's webhook heard that it was delivered.`)

    await gateway.program.kill()
    say('The gateway was killed with SIGKILL, in the middle of its life.')
    const missed = 'Are you there?'
    await sandbox.call('POST', `/sandbox/people/${ada!.phone}/send`, { to: ben!.phone, text: missed })
    say(`Meanwhile Ada wrote "${missed}" from her phone.`)

    gateway = await startGatewayProcess({ home, sandbox })
    ;[first, second] = [first, second].map(({ deviceId, token }) => new DeviceApi(gateway.url, deviceId, token)) as [
      DeviceApi,
      DeviceApi,
    ]
    await Promise.all([first.untilConnected(), second.untilConnected()])
    say('It was started again. Both devices came back by themselves, without a new code, and the old tokens hold.')

    const late = await receiver.next(
      ({ event_type, data }) => event_type === 'message.received' && data.text === missed,
    )
    must(isSignedBy(webhook.secret, late), 'the signature of the late webhook does not hold')
    say(`Ben's webhook got what had come in between: "${missed}".`)
    await second.call('POST', `/chats/${ada!.phone}/messages`, { text: 'Yes, still here.' })
    const after = await sandbox.call<{ messages: { text: string }[] }>(
      'GET',
      `/sandbox/people/${ada!.phone}/messages?after=1&wait_ms=10000&from=${ben!.phone}`,
    )
    must(
      after.messages.some(({ text }) => text === 'Yes, still here.'),
      "Ada's phone did not get the text after the restart",
    )
    say(`Ben wrote again: Ada's phone has "Yes, still here."`)

    // a delivery that the crash caught before it was noted down comes again, under the same id
    const events = new Map(receiver.received.map(({ event }) => [event.id, event]))
    const heard = [...events.values()].filter(({ event_type }) => event_type === 'message.received')
    const told = new Set(heard.map(({ data }) => data.message_id))
    must(told.size === heard.length, 'a message was told as two events')
    const { problems } = await sandbox.call<{ problems: unknown[] }>('GET', '/sandbox/problems')
    must(problems.length === 0, `the simulated WhatsApp found fault with something: ${JSON.stringify(problems)}`)
    say(
      `${events.size} events came, one for each thing that happened, and the simulated WhatsApp found fault with nothing.`,
    )
    must((await gateway.program.stop()) === 0, 'the gateway did not stop cleanly')
  } finally {
    await gateway[Symbol.asyncDispose]()
  }
}
