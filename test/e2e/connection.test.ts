import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Device } from '../support/e2e/device.ts'
import type { Phone } from '../support/e2e/phone.ts'
import { Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

/** Serves what WhatsApp Web's service worker says about its version. */
const startVersionServer = async (): Promise<{ server: Server; url: string; asked: () => number }> => {
  let count = 0
  const server = createServer((request, response) => {
    count++
    if (request.url === '/gone') response.writeHead(404).end()
    else response.end(`self.x={"client_revision":${1_200_000_000 + count},"y":1}`)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sw.js`, asked: () => count }
}

describe('connections of linked devices', () => {
  let stage: Stage
  let version: Awaited<ReturnType<typeof startVersionServer>>

  before(async () => {
    version = await startVersionServer()
    stage = await Stage.open({
      env: { WHATSAPP_VERSION_URL: version.url, WHATSAPP_WAVERSION_REFRESH_MIN_INTERVAL: '0' },
    })
  })
  after(async () => {
    await stage?.[Symbol.asyncDispose]()
    version.server.closeAllConnections()
    version.server.close()
  })

  const typesOf = (device: Device): readonly string[] => device.events().map(({ event_type }) => event_type)

  /** Waits for a login after the number seen so far. */
  const untilBack = async (device: Device, logins: number) => {
    await until('another connection.connected', () => device.events('connection.connected').length > logins)
    await device.untilConnected()
  }

  const proveItTalks = async (device: Device, phone: Phone) => {
    const friend = await stage.whatsapp.person('Friend')
    const text = `proof ${friend.number}`
    await device.send(friend, text)
    await friend.message(text)
    const id = await friend.write(phone, `answer ${friend.number}`)
    await device.event('message.received', { message_id: id })
  }

  test('logged out on the phone: told, forgotten, refused, and linked anew', async () => {
    const { phone, device, jid } = await stage.linked('Ann')
    await phone.logOut(jid)
    const { data } = await device.event('connection.logged_out')
    assert.equal(data.jid, phone.number)
    const status = await device.untilStatus(({ db_status }) => db_status === 'logged_out')
    assert.deepEqual([status.connected, status.is_logged_in], [false, false])
    await until('the keys are forgotten', async () => {
      return !(await stage.gateway.storage.signalKeys.devicesWithCredentials()).includes(device.id)
    })
    assert.equal((await device.ok('GET', '/devices/me')).data.whatsmeow_jid, '')
    const send = await device.refused(409, 'POST', `/chats/${phone.number}/messages`, { text: 'x' })
    assert.equal(send.data.error_code, 'not_linked')
    assert.equal((await device.refused(409, 'POST', '/devices/me/reconnect')).data.error_code, 'not_linked')
    assert.equal((await device.refused(409, 'DELETE', '/devices/me/session')).data.error_code, 'not_linked')
    assert.equal((await device.loginState()).state, 'idle')

    const again = await device.link(phone)
    assert.notEqual(again, jid)
    await proveItTalks(device, phone)
  })

  test('logged out through the API: the phone loses the device, and it can be linked anew', async () => {
    const { phone, device, jid } = await stage.linked('Bea')
    await device.ok('DELETE', '/devices/me/session')
    assert.deepEqual(await phone.companions(), [])
    const { data } = await device.event('connection.logged_out')
    assert.equal(data.jid, phone.number)
    assert.equal(device.events('connection.logged_out').length, 1)
    assert.equal((await device.status()).db_status, 'logged_out')
    assert.ok(!(await stage.gateway.storage.signalKeys.devicesWithCredentials()).includes(device.id))
    await device.refused(409, 'DELETE', '/devices/me/session')
    assert.notEqual(await device.link(phone), jid)
    await proveItTalks(device, phone)
  })

  test('logged out while the gateway was away: found out at the next start', async () => {
    const { phone, device, jid } = await stage.linked('Cal')
    await stage.stop()
    await phone.logOut(jid)
    await stage.start()
    await device.event('connection.logged_out')
    await device.untilStatus(({ db_status }) => db_status === 'logged_out')
    await device.link(phone)
  })

  test('replaced: told, not fought over, and back when asked', async () => {
    const { phone, device, jid } = await stage.linked('Dee')
    await stage.whatsapp.disconnect(jid, { mode: 'replaced' })
    await device.event('connection.stream_replaced')
    await device.event('connection.disconnected', { reason: 'replaced' })
    const status = await device.untilStatus(({ db_status }) => db_status === 'disconnected')
    assert.deepEqual([status.connected, status.is_logged_in], [false, true])
    assert.match(status.error, /replaced/)
    const send = await device.refused(409, 'POST', `/chats/${phone.number}/messages`, { text: 'x' })
    assert.equal(send.data.error_code, 'not_connected')
    await device.ok('POST', '/devices/me/reconnect')
    assert.equal((await device.status()).connected, true)
    await proveItTalks(device, phone)
    assert.equal(device.events('connection.stream_replaced').length, 1)
  })

  test('banned for a time: told with its end, and back by itself when it is over', async () => {
    const { phone, device, jid } = await stage.linked('Eva')
    await stage.whatsapp.disconnect(jid, { mode: 'failure', code: 402, expire: 2 })
    const { data } = await device.event('connection.temporary_ban')
    const end = Date.parse(data.expires as string)
    assert.ok(end > Date.now() && end < Date.now() + 2500, `the ban ends ${data.expires}`)
    const status = await device.status()
    assert.equal(status.connected, false)
    await untilBack(device, 1)
    assert.ok(Date.now() >= end - 50, 'it came back before the ban was over')
    await proveItTalks(device, phone)
  })

  for (const [code, reason] of [
    [403, 'locked'],
    [406, 'banned'],
  ] as const)
    test(`${code} (${reason}): told, stays down until asked`, async () => {
      const { phone, device, jid } = await stage.linked(`Flo ${code}`)
      await stage.whatsapp.disconnect(jid, { mode: 'failure', code })
      const { data } = await device.event('connection.connect_failure')
      assert.equal(data.reason, String(code))
      await device.event('connection.disconnected', { reason: `connect_failure: ${code}` })
      const status = await device.untilStatus(({ db_status }) => db_status === 'disconnected')
      assert.match(status.error, new RegExp(reason))
      assert.equal(typesOf(device).filter((type) => type === 'connection.reconnecting').length, 0)
      // refused once more, then let in
      await stage.whatsapp.fault({ kind: 'fail_login', phone: phone.number, reason: code })
      const refused = await device.refused(409, 'POST', '/devices/me/reconnect')
      assert.equal(refused.data.error_code, 'not_connected')
      await device.ok('POST', '/devices/me/reconnect')
      await proveItTalks(device, phone)
    })

  test('client outdated (405): the version is refreshed, and the device comes back with it', async () => {
    const { phone, device, jid } = await stage.linked('Gil')
    const asked = version.asked()
    const { data: old } = await stage.admin.ok('GET', '/admin/whatsapp/version')
    await stage.whatsapp.disconnect(jid, { mode: 'failure', code: 405 })
    await device.event('connection.client_outdated')
    await untilBack(device, 1)
    assert.ok(version.asked() > asked)
    const { data: fresh } = await stage.admin.ok('GET', '/admin/whatsapp/version')
    assert.ok(fresh.wa_web_version.array[2] > old.wa_web_version.array[2])
    assert.equal(fresh.last_error, '')
    await proveItTalks(device, phone)
  })

  test('the version is refreshed by hand; where that fails it is 502 and the old one stays', async () => {
    const { data: before } = await stage.admin.ok('GET', '/admin/whatsapp/version')
    const { data } = await stage.admin.ok('POST', '/admin/whatsapp/version/refresh')
    assert.equal(data.refreshed, true)
    assert.ok(data.wa_web_version.array[2] > before.wa_web_version.array[2])
    assert.equal(data.wa_web_version.string, data.wa_web_version.array.join('.'))
    await stage.admin.refused(400, 'POST', '/admin/whatsapp/version/refresh?force=maybe')
    await stage.anonymous.refused(401, 'POST', '/admin/whatsapp/version/refresh')
    await stage.anonymous.refused(401, 'GET', '/admin/whatsapp/version')

    await stage.restart({ WHATSAPP_VERSION_URL: version.url.replace('sw.js', 'gone') })
    const { data: recalled } = await stage.admin.ok('GET', '/admin/whatsapp/version')
    assert.deepEqual(recalled.wa_web_version, data.wa_web_version, 'the fetched version survives a restart')
    const failed = await stage.admin.refused(502, 'POST', '/admin/whatsapp/version/refresh?force=true')
    assert.equal(failed.data.error_code, 'whatsapp_refused')
    const { data: after } = await stage.admin.ok('GET', '/admin/whatsapp/version')
    assert.deepEqual(after.wa_web_version, data.wa_web_version)
    assert.match(after.last_error, /404/)
    await stage.restart()
  })

  test('refused for the moment (503) at login: tried again until it works', async () => {
    const { phone, device, jid } = await stage.linked('Hal')
    await stage.whatsapp.fault({ kind: 'fail_login', phone: phone.number, reason: 503, times: 3 })
    await stage.whatsapp.disconnect(jid, { mode: 'close' })
    await untilBack(device, 1)
    assert.equal(device.events('connection.connect_failure').filter(({ data }) => data.reason === '503').length, 3)
    assert.deepEqual(
      device.events('connection.reconnecting').map(({ data }) => data.attempt),
      [1, 2, 3, 4],
    )
    await proveItTalks(device, phone)
  })

  for (const how of [{ mode: 'close' }, { mode: 'xmlstreamend' }, { mode: 'stream_error', code: 503 }])
    test(`lost by ${how.mode}: told, and back by itself`, async () => {
      const { phone, device, jid } = await stage.linked(`Ina ${how.mode}`)
      await stage.whatsapp.disconnect(jid, how)
      const { data } = await device.event('connection.disconnected')
      if (how.mode === 'stream_error') {
        const error = await device.event('connection.stream_error')
        assert.equal(error.data.code, '503')
        assert.equal(data.reason, 'stream_error: 503')
      }
      await untilBack(device, 1)
      assert.equal(device.events('connection.disconnected').length, 1)
      await proveItTalks(device, phone)
    })

  test('a text sent while the device is coming back waits for it', async () => {
    const { phone, device, jid } = await stage.linked('Jan')
    const friend = await stage.whatsapp.person('Kim')
    await stage.whatsapp.fault({ kind: 'fail_login', phone: phone.number, reason: 503, times: 2 })
    await stage.whatsapp.disconnect(jid, { mode: 'close' })
    await device.untilStatus(({ connected }) => !connected)
    const sent = await device.send(friend, 'hold the line')
    assert.equal(sent.status, 'server_ack')
    assert.equal((await friend.message('hold the line')).copies, 1)
  })

  test('the admin reconnects everybody who is offline, and hears what became of each', async () => {
    const [lost, fine] = [await stage.linked('Lou'), await stage.linked('Mia')]
    const pending = await stage.newDevice('never linked')
    const failing = await stage.linked('Ned')
    for (const { device, jid } of [lost, failing]) {
      await stage.whatsapp.disconnect(jid, { mode: 'replaced' })
      await device.untilStatus(({ db_status }) => db_status === 'disconnected')
    }
    await stage.whatsapp.fault({ kind: 'fail_login', phone: failing.phone.number, reason: 403 })
    const { data: status } = await stage.admin.ok('GET', '/admin/devices/status')
    const live = (id: string) => status.devices.find((device: { device_id: string }) => device.device_id === id)
    assert.deepEqual([live(lost.device.id).connected, live(fine.device.id).connected], [false, true])
    assert.equal(live(pending.id).db_status, 'pending')

    const { data } = await stage.admin.ok('POST', '/admin/devices/reconnect')
    const outcome = (id: string) => data.results.find((result: { device_id: string }) => result.device_id === id)
    assert.equal(outcome(lost.device.id).status, 'reconnected')
    assert.equal(outcome(fine.device.id).status, 'already_connected')
    assert.equal(outcome(pending.id).status, 'skipped')
    assert.equal(outcome(failing.device.id).status, 'failed')
    assert.ok(outcome(failing.device.id).error)
    assert.deepEqual([data.summary.reconnected, data.summary.failed], [1, 1])
    assert.equal(data.summary.total, data.results.length)
    await proveItTalks(lost.device, lost.phone)
    await stage.anonymous.refused(401, 'POST', '/admin/devices/reconnect')
    const { data: stats } = await stage.admin.ok('GET', '/admin/stats')
    assert.equal(stats.total_devices, data.summary.total)
  })

  test('reconnecting a device that is connected drops and reopens its connection', async () => {
    const { phone, device } = await stage.linked('Oda')
    const { logins } = await stage.whatsapp.metrics()
    await device.ok('POST', '/devices/me/reconnect')
    assert.equal((await stage.whatsapp.metrics()).logins, logins + 1)
    assert.equal((await device.status()).connected, true)
    await proveItTalks(device, phone)
  })

  test('a certificate that does not hold ends a login, and the right one brings the device back', async () => {
    const { phone, device, jid } = await stage.linked('Pia')
    const { logins } = await stage.whatsapp.metrics()
    const disarm = await stage.whatsapp.fault({ kind: 'tamper', target: 'certificate', times: 1000 })
    await stage.whatsapp.disconnect(jid, { mode: 'close' })
    await device.event('connection.reconnecting', { attempt: 2 })
    assert.equal((await stage.whatsapp.metrics()).logins, logins)
    await disarm()
    await untilBack(device, 1)
    await proveItTalks(device, phone)
  })

  test('a half-open connection is noticed by its silence, told, and replaced', async () => {
    await stage.restart({}, { keepAliveIntervalMs: 150 })
    const { phone, device, jid } = await stage.linked('Ron')
    await stage.whatsapp.disconnect(jid, { mode: 'half_open' })
    await device.event('connection.keepalive_timeout')
    await device.event('connection.disconnected', { reason: 'keepalive_timeout' })
    await untilBack(device, 1)
    await device.event('connection.keepalive_restored')
    await proveItTalks(device, phone)
  })

  test('nothing that the service saw was wrong, but for what was asked for', async () => {
    await stage.whatsapp.assertNoProblems(
      ({ kind, text }) => kind === 'handshake' || text.startsWith('login of a device that is not linked'),
    )
    stage.inbox.assertSchemas()
  })
})
