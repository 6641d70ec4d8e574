import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { Phone } from '../support/e2e/phone.ts'
import { type Linked, Stage } from '../support/e2e/stage.ts'
import { until } from '../support/e2e/until.ts'

/** Whatever is signed or has a MAC, forged on its way by the service: refused, logged, counted; and the next good one works. */
describe('forgeries', () => {
  let stage: Stage
  let ada: Linked
  let ben: Linked
  let cleo: Phone

  before(async () => {
    stage = await Stage.open()
    cleo = await stage.whatsapp.person('Cleo')
    ;[ada, ben] = await Promise.all([stage.linked('Ada'), stage.linked('Ben')])
  })
  after(() => stage?.[Symbol.asyncDispose]())

  const refused = async (kind: string): Promise<number> =>
    (await stage.admin.ok('GET', '/admin/health')).data.refused[kind] ?? 0
  const forge = (target: string, phone?: Phone, times = 1) =>
    stage.whatsapp.fault({ kind: 'tamper', target, times, ...(phone ? { phone: phone.number } : {}) })
  /** Resolves when exactly so many more of a kind were refused, and the log says so. */
  const untilRefused = async (kind: string, before: number, said: RegExp, more = 1) => {
    await until(`${kind} is counted`, async () => (await refused(kind)) >= before + more)
    assert.ok(
      stage.log.some((line) => said.test(line)),
      `the log says ${said}`,
    )
    await stage.whatsapp.clearFaults()
  }
  /** Texts go through in both directions. */
  const proveItTalks = async ({ phone, device }: Linked, text: string) => {
    const id = await cleo.write(phone, text)
    await device.event('message.received', { message_id: id })
    await device.send(cleo, `${text}, back`)
    await cleo.message(`${text}, back`)
  }
  const heard = ({ device }: Linked, id: string) =>
    device.events('message.received').filter(({ data }) => data.message_id === id).length

  test('messages, of one person and in a group', async () => {
    await proveItTalks(ben, 'hello')
    const messages = await refused('message')
    // one copy goes to the phone of the account, one to the device
    await forge('enc', ben.phone, 2)
    const one = await cleo.write(ben.phone, 'bent on its way')
    await untilRefused('message', messages, /decrypt/)
    await ben.device.event('message.undecryptable', { message_id: one })

    const group = await stage.whatsapp.group('Friends', cleo, ben.phone)
    const first = await cleo.write(group, 'here is my sender key')
    await ben.device.event('message.received', { message_id: first })
    const ofGroups = await refused('sender_key_message')
    await forge('enc', ben.phone, 2)
    const second = await cleo.write(group, 'forged in the group')
    await untilRefused('sender_key_message', ofGroups, /decrypt/)
    await ben.device.event('message.undecryptable', { message_id: second })
    // what was asked for again is right
    const healed = await ben.device.event('message.received', { message_id: second })
    assert.equal(healed.data.text, 'forged in the group')
    await proveItTalks(ben, 'after forged messages')
  })

  test('a text in the clear from anybody but a channel', async () => {
    const count = await refused('plaintext')
    await forge('plaintext', ben.phone, 2)
    const id = await cleo.write(ben.phone, 'not for everybody')
    await untilRefused('plaintext', count, /refused an unencrypted message/)
    await proveItTalks(ben, 'after a text in the clear')
    assert.equal(heard(ben, id), 0)
    assert.ok(!ben.device.events().some(({ data }) => data.text === 'forged'))
  })

  test('the signed pre-key of a bundle', async () => {
    const dana = await stage.whatsapp.person('Dana')
    const count = await refused('pre_key_bundle')
    await forge('signed_pre_key', dana, 5)
    await ada.device.call('POST', `/chats/${dana.number}/messages`, { body: { text: 'to whom?' } })
    await untilRefused('pre_key_bundle', count, /refused a pre-key bundle/)
    await ada.device.send(dana, 'to Dana')
    await dana.message('to Dana')
    assert.ok(!(await dana.messages()).some(({ text }) => text === 'to whom?'))
  })

  for (const target of ['device_account_signature', 'device_signature'])
    test(`the identity of a companion: ${target.replaceAll('_', ' ')}`, async () => {
      const [from, to] = await Promise.all([stage.linked(`From ${target}`), stage.linked(`To ${target}`)])
      const count = await refused('device_identity')
      await forge(target, to.phone, 2)
      const { message_id: forged } = await from.device.send(to.phone, 'who am I?')
      await untilRefused('device_identity', count, /refused a message.*signature of the device identity does not hold/)
      const { message_id: good } = await from.device.send(to.phone, 'it is me')
      await to.device.event('message.received', { message_id: good })
      assert.deepEqual([heard(to, forged), heard(to, good)], [0, 1])
    })

  test('the app state: MACs of patches, of the state, of values and of indexes', async () => {
    await ada.device.send(cleo, 'a chat to change')
    const change = (action: string, on: boolean) => ada.phone.call('POST', '/chat', { chat: cleo.number, action, on })
    const told = (event: string) => ada.device.events(event).map(({ data }) => data.archived ?? data.pinned)
    const waiting = async () => (await ada.phone.companions()).find(({ jid }) => jid === ada.jid)!.queue_length
    let round = 0
    for (const part of ['patch_mac', 'snapshot_mac', 'value', 'value_mac', 'index_mac']) {
      const on = round++ % 2 === 0
      const count = await refused('app_state')
      const [archived, pinned] = [told('chat.archive').length, told('chat.pin').length]
      await until('nothing waits', async () => (await waiting()) === 0)
      await forge(`app_state_${part}`, ada.phone)
      await change('archive', on)
      await untilRefused('app_state', count, /refused changes of the app state/)
      await setTimeout(100)
      assert.equal(told('chat.archive').length, archived, `${part}: not told`)
      assert.equal(await waiting(), 1, `${part}: not acknowledged`)
      // with the next change both are fetched, from where all was well
      await change('pin', on)
      await until(
        `${part}: both are told`,
        () => told('chat.archive').length === archived + 1 && told('chat.pin').length === pinned + 1,
      )
      assert.deepEqual([told('chat.archive').at(-1), told('chat.pin').at(-1)], [on, on])
      await ada.device.ok('POST', '/devices/me/reconnect')
    }
    // and our own are built on a state that everybody else has, too
    await ada.device.ok('POST', `/chats/${cleo.number}/mute`, { muted: true })
    await until('the phone has it', async () => {
      const { changes } = await ada.phone.call<{ changes: { index: string[] }[] }>('GET', '/chat-changes')
      return changes.some(({ index }) => index[0] === 'mute')
    })
    const { data } = await stage.admin.ok('GET', '/admin/stanza-failures')
    assert.ok(data.failures.length >= 5)
    assert.ok(
      data.failures.every((one: { tag: string; given_up: boolean }) => one.tag === 'notification' && !one.given_up),
    )
  })

  test('what the phone signs when it links, and the certificate of the service', async () => {
    for (const target of ['adv_hmac', 'adv_account_signature']) {
      const count = await refused('pairing')
      const phone = await stage.whatsapp.person(`June ${target}`)
      const device = await stage.newDevice()
      const qr = await device.qr()
      await forge(target, phone)
      await assert.rejects(phone.scan(qr), /link_failed|client_gone/)
      assert.equal((await device.untilLogin('failed')).reason, 'rejected')
      assert.equal(await refused('pairing'), count + 1)
    }
    const count = await refused('certificate')
    await forge('certificate', undefined, 1_000)
    await stage.whatsapp.disconnect(ada.jid, { mode: 'close' })
    await until('it is counted', async () => (await refused('certificate')) > count)
    await stage.whatsapp.clearFaults()
    await ada.device.untilConnected()
    await proveItTalks(ada, 'after the certificate')
  })
})
