import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import { newUuid } from '../../src/kernel/ids.ts'
import type { Answer } from '../support/e2e/client.ts'
import { type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'
import { startPostgres } from '../support/postgres.ts'

/** How long the database is away; the issue asks for 30 s, which `OUTAGE_MS=30000` tries. */
const OUTAGE_MS = Number(process.env.OUTAGE_MS ?? 3_000)

interface Outage {
  /** Some of it still works: what is small enough finds room. */
  readonly isPartial?: boolean
  begin(): Promise<void>
  end(): Promise<void>
}

/**
 * Traffic both ways without a pause while the database goes and comes back. Senders repeat a refused request under the
 * same Idempotency-Key; whoever writes to us does not know of anything. In the end both sides must have everything once.
 */
const tryOutage = async (stage: Stage, outage: Outage): Promise<void> => {
  const cleo = await stage.whatsapp.person('Cleo')
  const [ada, ben] = await Promise.all([stage.linked('Ada'), stage.linked('Ben')])
  await ada.device.send(cleo, 'warm up')
  await cleo.message('warm up')

  const ids: string[] = []
  const texts: string[] = []
  const refusals: Answer[] = []
  let over = false
  const write = async () => {
    while (!over) {
      for (const { phone } of [ada, ben]) ids.push(await cleo.write(phone, `in ${ids.length}`))
      await setTimeout(40)
    }
  }
  /** Undefined when the connection broke: one that was idle while the gateway was busy may be closed under a request. */
  const tryToSend = (headers: Record<string, string>, text: string): Promise<Answer | undefined> =>
    ada.device.call('POST', `/chats/${cleo.number}/messages`, { headers, body: { text } }).catch((error: unknown) => {
      if (error instanceof TypeError && error.message === 'fetch failed') return undefined
      throw error
    })
  const sendOne = async (text: string, key = newUuid()): Promise<void> => {
    const headers = { 'idempotency-key': key }
    await until(
      `${text} is taken`,
      async () => {
        const answer = await tryToSend(headers, text)
        if (!answer) return false
        if (answer.status === 200) return true
        refusals.push(answer)
        await setTimeout(100)
        return false
      },
      OUTAGE_MS + 60_000,
    )
    if (text.startsWith('out ')) texts.push(text)
  }
  const send = async () => {
    for (let count = 0; !over; count++) await sendOne(`out ${count}`)
  }
  const goAway = async () => {
    await outage.begin()
    try {
      await checkOutage()
    } finally {
      await outage.end()
    }
    await setTimeout(1_000)
  }
  const checkOutage = async () => {
    const refused = await until(
      'a send is refused',
      async () => {
        if (outage.isPartial) return refusals.at(-1)
        const answer = await tryToSend({ 'idempotency-key': 'tried-while-it-was-away' }, 'urgent')
        return answer !== undefined && answer.status !== 200 && answer
      },
      OUTAGE_MS + (outage.isPartial ? 60_000 : 10_000),
    )
    // where a text still finds room but the key that encrypts it does not, the connection ends, and that is what is told
    if (!outage.isPartial || refused.status !== 409)
      assert.deepEqual([refused.status, refused.data.error_code], [503, 'storage_unavailable'])
    if (refused.status === 503) assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/)
    await setTimeout(OUTAGE_MS)
    // nothing was acknowledged that is not stored: WhatsApp keeps it
    const waiting = async () => (await ben.phone.companions()).find(({ jid }) => jid === ben.jid)!.queue_length
    await until('WhatsApp keeps what comes in', async () => (await waiting()) > 0)
  }
  const traffic = Promise.all([write(), send()])
  try {
    await setTimeout(700)
    await goAway()
  } finally {
    over = true
    await traffic
  }

  if (!outage.isPartial) {
    await sendOne('urgent', 'tried-while-it-was-away')
    await cleo.message('urgent')
  }
  for (const answer of refusals)
    assert.ok([503, 409].includes(answer.status), `a send was refused with ${answer.status}: ${answer.text}`)

  const received = () => [ada, ben].flatMap(({ device }) => device.events('message.received'))
  await until(
    'every message has its event',
    () => new Set(received().map(({ data }) => data.message_id)).size >= ids.length,
    60_000,
  )
  const told = received().map(({ data }) => data.message_id as string)
  assert.deepEqual(told.toSorted(), ids.toSorted(), 'each once')
  for (const { device } of [ada, ben]) {
    const numbers = device.events('message.received').map(({ data }) => Number(String(data.text).split(' ')[1]))
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
      'in order',
    )
  }
  await until('every text arrived', async () => {
    const seen = new Set((await cleo.messages()).map(({ text }) => text))
    return texts.every((text) => seen.has(text))
  })
  const arrived = (await cleo.messages()).flatMap(({ text }) => (text?.startsWith('out ') ? [text] : []))
  assert.deepEqual(arrived, texts, 'each once, in order')
  await checkConnections(stage, [ada, ben])
  assert.equal((await stage.admin.ok('GET', '/admin/stanza-failures')).data.failures.length, 0)
  assert.equal((await stage.admin.ok('GET', '/admin/health')).data.status, 'ok')
}

/** What could not be stored ended the connections: that is told all the same, in order, and the rows say how it is now. */
const checkConnections = async (stage: Stage, sides: readonly Linked[]): Promise<void> => {
  for (const { device } of sides) {
    const steps = () => device.events().filter(({ event_type: type }) => /^connection\.(dis)?connected$/.test(type))
    const last = await until('the end of it is told', () => {
      const told = steps()
      return told.length >= 3 && told.at(-1)?.event_type === 'connection.connected' && told
    })
    assert.deepEqual(
      last.map(({ event_type }) => event_type),
      last.map((_, index) => (index % 2 ? 'connection.disconnected' : 'connection.connected')),
    )
    const times = last.map(({ timestamp }) => Date.parse(timestamp))
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    )
  }
  const { devices } = (await stage.admin.ok('GET', '/admin/devices')).data
  assert.deepEqual(
    devices.map(({ status }: { status: string }) => status),
    ['active', 'active'],
  )
}

describe('the database goes away under load and comes back', () => {
  test('PostgreSQL: stopped and started', { timeout: OUTAGE_MS + 150_000 }, async () => {
    const server = await startPostgres()
    try {
      await using stage = await Stage.open({ env: { WHATSAPP_DATASTORE_URI: server.url } })
      await tryOutage(stage, { begin: () => server.halt(), end: () => server.resume() })
      stage.inbox.assertSchemas()
    } finally {
      await server.stop()
    }
  })

  test('SQLite: locked by somebody else', { timeout: OUTAGE_MS + 150_000 }, async () => {
    await using stage = await Stage.open()
    const other = new BetterSqlite3(stage.databaseUri.slice('sqlite:'.length))
    after(() => other.close())
    // reading goes on beside a writer of SQLite, so the file is locked as a whole
    await tryOutage(stage, {
      begin: async () => {
        other.exec('begin immediate')
      },
      end: async () => {
        other.exec('rollback')
      },
    })
  })

  test('SQLite: no room on the disk', { timeout: OUTAGE_MS + 200_000 }, async () => {
    // the gateway runs in this process, and its connection can be told that the disk is full: SQLITE_FULL at any page
    const opened = new Set<BetterSqlite3.Database>()
    const { pragma } = BetterSqlite3.prototype
    BetterSqlite3.prototype.pragma = function (this: BetterSqlite3.Database, ...args: Parameters<typeof pragma>) {
      opened.add(this)
      return pragma.apply(this, args)
    } as typeof pragma
    after(() => {
      BetterSqlite3.prototype.pragma = pragma
    })
    await using stage = await Stage.open()
    const [connection, ...others] = [...opened].filter(
      ({ name, open }) => open && name === stage.databaseUri.slice('sqlite:'.length),
    )
    assert.ok(connection && others.length === 0)
    await tryOutage(stage, {
      isPartial: true,
      begin: async () => {
        connection.pragma(`max_page_count = ${connection.pragma('page_count', { simple: true })}`)
      },
      end: async () => {
        connection.pragma('max_page_count = 1000000')
      },
    })
    assert.ok(stage.log.some((line) => line.includes('SQLITE_FULL')))
    assert.deepEqual(connection.pragma('integrity_check'), [{ integrity_check: 'ok' }])
    assert.deepEqual(connection.pragma('foreign_key_check'), [])
  })
})
