import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { Device } from '../support/e2e/device.ts'
import type { Phone } from '../support/e2e/phone.ts'
import { Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

interface Side {
  readonly phone: Phone
  readonly device: Device
  readonly jid: string
}

let stage: Stage
let ada: Side
let ben: Side
let cleo: Phone

/** Behind the back of the gateway, which may run. */
const change = (sql: string, ...values: (string | Uint8Array)[]): number => {
  const database = new BetterSqlite3(stage.databaseUri.slice('sqlite:'.length), { timeout: 5_000 })
  try {
    return database.prepare(sql).run(...values).changes
  } finally {
    database.close()
  }
}

/** Flips one bit of each sealed value of a device. */
const damage = (table: string, where: string, ...values: string[]): number => {
  const database = new BetterSqlite3(stage.databaseUri.slice('sqlite:'.length), { timeout: 5_000 })
  try {
    const rows = database
      .prepare<string[], { value: Buffer }>(`select value from ${table} where ${where}`)
      .all(...values)
    for (const { value } of rows) {
      const damaged = Buffer.from(value)
      damaged[damaged.length >> 1]! ^= 4
      database.prepare(`update ${table} set value = ? where value = ?`).run(damaged, value)
    }
    return rows.length
  } finally {
    database.close()
  }
}

before(async () => {
  stage = await Stage.open()
  cleo = await stage.whatsapp.person('Cleo')
  ;[ada, ben] = await Promise.all([stage.linked('Ada'), stage.linked('Ben')])
})
after(() => stage?.[Symbol.asyncDispose]())

describe('a stanza that cannot be stored for what is in it', () => {
  test('holds nobody up, comes again at each connection, and is put aside the fifth time', async () => {
    change(
      `create trigger poison before insert on messages when new.text = 'poison'
       begin select raise(abort, 'refused'); end`,
    )
    const queued = async () => {
      const companions = await ada.phone.companions()
      return companions.find(({ jid }) => jid === ada.jid)!.queue_length
    }
    await cleo.write(ada.phone, 'poison')
    for (let attempt = 1; attempt <= 5; attempt++) {
      if (attempt > 1) await ada.device.ok('POST', '/devices/me/reconnect')
      const id = await cleo.write(ada.phone, `after ${attempt}`)
      await ada.device.event('message.received', { message_id: id })
      const { data } = await stage.admin.ok('GET', '/admin/stanza-failures')
      const mine = data.failures.filter((one: { device_id: string }) => one.device_id === ada.device.id)
      assert.equal(mine.length, 1)
      assert.deepEqual([mine[0].tag, mine[0].attempts, mine[0].given_up], ['message', attempt, attempt === 5])
      assert.doesNotMatch(JSON.stringify(mine), /poison/)
      if (attempt < 5) assert.equal(await queued(), 1, `kept after attempt ${attempt}`)
    }
    await until('the server has its acknowledgement', async () => (await queued()) === 0)
    change('drop trigger poison')
    assert.equal(ada.device.events('message.received').filter(({ data }) => data.text === 'poison').length, 0)
  })
})

describe('damaged keys', () => {
  test('of one peer, found while running, stop that device alone', async () => {
    // sessions are in memory once they are used; the pre-key that a first message needs is read then
    assert.ok(damage('signal_keys', "device_id = ? and type = 'pre-key'", ben.device.id) > 0)
    await cleo.write(ben.phone, 'does this open?')
    const failure = await ben.device.event('connection.connect_failure')
    assert.equal(failure.data.reason, 'keys_damaged')
    const status = await ben.device.untilStatus(({ connected }) => !connected)
    assert.match(status.error, /keys_damaged/)
    const refused = await ben.device.refused(409, 'POST', `/chats/${cleo.number}/messages`, { text: 'x' })
    assert.equal(refused.data.error_code, 'not_connected')
    await ada.device.send(cleo, 'nobody else notices')
    await cleo.message('nobody else notices')
    assert.equal((await ada.device.status()).connected, true)
  })

  test('of the credentials, found at the start, stop that device alone; it can be linked anew', async () => {
    await stage.stop()
    assert.equal(damage('credentials', 'device_id = ?', ben.device.id), 1)
    await stage.start()
    await ada.device.untilConnected()
    const status = await ben.device.untilStatus(({ error }) => /keys_damaged/.test(error ?? ''))
    assert.equal(status.connected, false)
    const { data } = await stage.admin.ok('GET', '/admin/devices')
    const states = Object.fromEntries(
      data.devices.map((row: { device_id: string; status: string }) => [row.device_id, row.status]),
    )
    assert.deepEqual([states[ada.device.id], states[ben.device.id]], ['active', 'disconnected'])
    const told = ben.device.events('connection.connect_failure')
    assert.equal(told.at(-1)?.data.reason, 'keys_damaged')
    const id = await cleo.write(ada.phone, 'still here?')
    await ada.device.event('message.received', { message_id: id })

    await ben.device.ok('DELETE', '/devices/me/session')
    await ben.device.link(ben.phone)
    const again = await cleo.write(ben.phone, 'welcome back')
    await ben.device.event('message.received', { message_id: again })
  })

  test('moved from another device, or sealed with nothing we know, do not open either', async () => {
    await stage.stop()
    change(
      'update credentials set value = (select value from credentials c where c.device_id = ?) where device_id = ?',
      ada.device.id,
      ben.device.id,
    )
    await stage.start()
    await ada.device.untilConnected()
    await ben.device.untilStatus(({ error }) => /keys_damaged/.test(error ?? ''))
    await stage.stop()
    change('update credentials set value = ? where device_id = ?', Buffer.alloc(40, 7), ben.device.id)
    await stage.start()
    await ada.device.untilConnected()
    await ben.device.untilStatus(({ error }) => /keys_damaged/.test(error ?? ''))
  })
})
