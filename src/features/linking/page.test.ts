import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createContext, runInContext } from 'node:vm'
import { TestGateway } from '../../../test/support/fakes/test-gateway.ts'
import { ParleyError } from '../../kernel/errors.ts'

const gateway = await TestGateway.open({ http: { baseUrl: '/api' } })
after(() => gateway[Symbol.asyncDispose]())

const tick = () => new Promise<void>((resolve) => setImmediate(resolve))

/** As much of an element as the page uses. */
class Element {
  hidden = true
  disabled = false
  textContent = ''
  value = ''
  src = ''
  #onClick: () => Promise<void> = async () => undefined

  addEventListener(_: 'click', listener: () => Promise<void>): void {
    this.#onClick = listener
  }

  async click(): Promise<void> {
    await this.#onClick()
  }
}

/** Runs the served page's script against the gateway: elements by id, `poll` is the page's next timer. */
const openPage = async (address = 'http://gate.example/api/devices/me/login') => {
  const device = await gateway.newDevice()
  const served = await gateway.call('POST', '/api/devices/me/login', {
    headers: { ...device.headers, host: 'gate.example' },
  })
  assert.equal(served.status, 200)
  const elements = new Map<string, Element>()
  for (const [, id] of served.text.matchAll(/ id="([^"]+)"/g)) elements.set(id!, new Element())
  const byId = (id: string): Element => elements.get(id) ?? assert.fail(`the page has no #${id}`)
  byId('config').textContent = /id="config">(.*?)<\/script>/s.exec(served.text)![1]!
  const timers: (() => void)[] = []
  const asked: string[] = []
  let online = true
  const answer = async (
    url: string,
    { method, headers, body }: { method: string; headers: Record<string, string>; body?: string },
  ) => {
    asked.push(`${method} ${url}`)
    if (!online) throw new TypeError('fetch failed')
    const path = new URL(url, address)
    const payload = body === undefined ? {} : { payload: body }
    const reply = await gateway.call(method, path.pathname + path.search, { headers, ...payload })
    return { json: async () => reply.body }
  }
  let last: Promise<unknown> = Promise.resolve()
  /** Until what the page asked for has been answered and shown. */
  const settle = async () => {
    await last.catch(() => undefined)
    await tick()
  }
  const page = createContext({
    document: { getElementById: byId },
    location: new URL(address),
    navigator: { clipboard: { writeText: async () => undefined } },
    setTimeout: (callback: () => void) => timers.push(callback),
    setInterval: () => 0,
    fetch: (url: string, sent: { method: string; headers: Record<string, string>; body?: string }) => {
      const answering = answer(url, sent)
      last = answering
      return answering
    },
  })
  const script = /<script nonce="[^"]+">\n(.*)<\/script>/s.exec(served.text)![1]!
  runInContext(script, page)
  await settle()
  return {
    device,
    byId,
    asked,
    timers,
    goOffline: (gone: boolean) => {
      online = !gone
    },
    poll: async () => {
      timers.shift()?.()
      await settle()
    },
    visible: () => ['scan', 'type', 'passkey', 'confirm', 'again', 'problem'].filter((id) => !byId(id).hidden),
  }
}

test('the page shows each code as it rotates, and stops once linked', async () => {
  const page = await openPage()
  assert.deepEqual(page.visible(), ['scan'])
  const first = page.byId('qr').src
  assert.match(first, /^data:image\/png;base64,/)
  assert.deepEqual(page.asked, ['GET /api/devices/me/login/state'])
  const offer = { code: '2@second', expiresAt: gateway.clock.now() + 20_000 }
  gateway.sessions.states.set(page.device.deviceId, { state: 'waiting_for_scan', offer })
  await page.poll()
  assert.notEqual(page.byId('qr').src, first)
  gateway.sessions.states.set(page.device.deviceId, { state: 'finishing' })
  await page.poll()
  assert.deepEqual(page.visible(), [])
  gateway.sessions.states.set(page.device.deviceId, { state: 'linked', jid: '628:1@s.whatsapp.net' })
  await page.poll()
  assert.match(page.byId('status').textContent, /Linked: 628:1@s\.whatsapp\.net/)
  assert.equal(page.timers.length, 0)
})

test('a failed linking can be started again from the page', async () => {
  const page = await openPage()
  gateway.sessions.states.set(page.device.deviceId, { state: 'failed', reason: 'expired', message: 'Nobody scanned.' })
  await page.poll()
  assert.deepEqual(page.visible(), ['again'])
  assert.equal(page.byId('status').textContent, 'Nobody scanned.')
  gateway.sessions.failures.set('linkByQr', new ParleyError('pairing_failed', 'WhatsApp is out of reach'))
  await page.byId('again').click()
  assert.equal(page.byId('problem').textContent, 'WhatsApp is out of reach')
  await page.byId('again').click()
  assert.equal(page.byId('problem').hidden, true)
  await page.poll()
  assert.deepEqual(page.visible(), ['scan'])
})

test('the page walks through the passkey', async () => {
  const page = await openPage()
  const options = { challenge: 'AAAA', allowCredentials: [] }
  const passkey = {
    state: 'waiting_for_assertion',
    options,
    confirmationCode: undefined,
    expiresAt: undefined,
  } as const
  gateway.sessions.states.set(page.device.deviceId, { state: 'passkey_required', passkey })
  await page.poll()
  assert.deepEqual(page.visible(), ['passkey'])
  assert.match(page.byId('snippet').value, /"challenge": "AAAA"/)
  page.byId('assertion').value = 'not what was meant'
  await page.byId('submit').click()
  assert.match(page.byId('problem').textContent, /must be JSON/)
  page.byId('assertion').value = '{"id":"AQID"}'
  await page.byId('submit').click()
  assert.match(page.byId('problem').textContent, /assertion\.rawId: is required/)
  const response = { clientDataJSON: 'e30', authenticatorData: 'AAAA', signature: 'MEUC', userHandle: null }
  page.byId('assertion').value = JSON.stringify({ id: 'AQID', rawId: 'AQID', type: 'public-key', response })
  await page.byId('submit').click()
  assert.equal(page.byId('problem').hidden, true)
  await page.poll()
  assert.deepEqual(page.visible(), ['confirm'])
  assert.equal(page.byId('confirmation-code').textContent, 'ABCD-2345')
  await page.byId('same').click()
  await page.poll()
  assert.deepEqual(page.visible(), [])
})

test('while the gateway is away the page keeps trying; without a valid token it stops', async () => {
  const page = await openPage()
  page.goOffline(true)
  await page.poll()
  assert.match(page.byId('problem').textContent, /trying again/)
  page.goOffline(false)
  await page.poll()
  assert.equal(page.byId('problem').hidden, true)
  await gateway.accounts.devices.raiseTokenVersion(page.device.deviceId, 0)
  await page.poll()
  assert.deepEqual(page.visible(), ['problem'])
  assert.equal(page.timers.length, 0)
})

test('saved to a file, the page asks the gateway by its full address', async () => {
  const page = await openPage('file:///tmp/page.html')
  assert.deepEqual(page.asked, ['GET http://gate.example/api/devices/me/login/state'])
})
