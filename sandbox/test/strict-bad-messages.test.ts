import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RequestRefused } from './strict-client/connection.ts'
import { createGroup } from './strict-client/groups.ts'
import { MessageRefused } from './strict-client/outbox.ts'
import { make, partsOf, type Stanza } from './strict-client/stanza.ts'
import type { StrictClient } from './strict-client/strict-client.ts'
import { nextAtPhone, World } from './support/strict.ts'

const refused = (code: number) => (error: unknown) =>
  (error instanceof RequestRefused || error instanceof MessageRefused) && error.code === code

type Spoil = (stanza: Stanza) => Stanza
const withAttrs =
  (attrs: Record<string, string>): Spoil =>
  (stanza) => ({ ...stanza, attrs: { ...stanza.attrs, ...attrs } })
const without =
  (...tags: readonly string[]): Spoil =>
  (stanza) => ({ ...stanza, content: partsOf(stanza).filter(({ tag }) => !tags.includes(tag)) })
/** Changes each `<to>` of the participants. */
const eachTo =
  (change: (to: Stanza) => Stanza): Spoil =>
  (stanza) => ({
    ...stanza,
    content: partsOf(stanza).map((list) =>
      list.tag === 'participants' ? { ...list, content: partsOf(list).map(change) } : list,
    ),
  })
const eachEnc = (change: (enc: Stanza) => Stanza): Spoil =>
  eachTo((to) => ({ ...to, content: partsOf(to).map(change) }))

const MESSAGES: readonly (readonly [string, Spoil, number, RegExp])[] = [
  ['to a number nobody has', withAttrs({ to: '15559990000@s.whatsapp.net' }), 404, /no account/],
  ['without its encs', without('participants'), 479, /for nobody/],
  ['without device-identity beside a pkmsg', without('device-identity'), 479, /without device-identity/],
  [
    'with plaintext',
    (stanza) => make('message', stanza.attrs, [make('plaintext', {}, Buffer.from('hi'))]),
    479,
    /plaintext/,
  ],
  [
    'for somebody who is no recipient',
    eachTo((to) => ({ ...to, attrs: { jid: '15550100003@s.whatsapp.net' } })),
    479,
    /not a recipient/,
  ],
  [
    'for somebody without an account',
    eachTo((to) => ({ ...to, attrs: { jid: '999999999999999@lid' } })),
    479,
    /no account/,
  ],
  ['with an enc of version 1', eachEnc((enc) => ({ ...enc, attrs: { ...enc.attrs, v: '1' } })), 479, /version 1/],
  [
    'with an skmsg outside of a group',
    eachEnc((enc) => ({ ...enc, attrs: { v: '2', type: 'skmsg' } })),
    479,
    /type skmsg/,
  ],
  ['with an empty enc', eachEnc((enc) => ({ ...enc, content: Buffer.alloc(0) })), 479, /empty enc/],
  ['with a ciphertext that is none', eachEnc((enc) => ({ ...enc, content: Buffer.from('hello') })), 479, /version 33/],
  [
    'with a forged device-identity',
    (stanza) => ({
      ...stanza,
      content: partsOf(stanza).map((content) => {
        if (content.tag !== 'device-identity') return content
        const forged = Buffer.from(content.content as Uint8Array)
        forged[forged.length - 1]! ^= 1
        return { ...content, content: forged }
      }),
    }),
    479,
    /signature is wrong/,
  ],
]

test('messages that are malformed get an error ack and a line in the log', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  world.person('Cleo')
  await using client = await world.companion(ann)
  for (const [what, spoil, code, problem] of MESSAGES) {
    await assert.rejects(client.sendText(ben.account.lidJid, what, { spoil }), refused(code), what)
    expectOne(world, client, problem)
  }
  client.connection.send(make('message', { to: ben.account.lidJid, type: 'text' }, [make('participants', {}, [])]))
  await client.settle()
  expectOne(world, client, /without an id/)
  await client.sendText(ben.account.lidJid, 'and a good one')
  await nextAtPhone(ben, 'and a good one')
  assert.equal(ben.phone.messages.list().length, 1)
})

test('the codes that WhatsApp refuses messages with come as error acks, and nothing is delivered', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  for (const code of [463, 479]) {
    world.sandbox.service.faults.arm({ kind: 'reject_message', account: ann.account, code })
    await assert.rejects(client.sendText(ben.account.lidJid, `refused with ${code}`), refused(code))
  }
  await client.sendText(ben.account.lidJid, 'accepted')
  await nextAtPhone(ben, 'accepted')
  assert.equal(ben.phone.messages.list().length, 1)
})

test('who is not in a group, or was never asked, cannot write to it', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using annWeb = await world.companion(ann)
  await using benWeb = await world.companion(ben)
  const group = await createGroup(annWeb.connection, 'Ann alone', [])
  const enc = make('enc', { v: 2, type: 'skmsg' }, Buffer.from([0x33, 1, 2, 3]))
  const write = (to: string) => benWeb.outbox.exchange(make('message', { id: `try.${to}`, to, type: 'text' }, [enc]))
  await assert.rejects(write(group.jid), refused(403))
  world.expectProblems('forbidden', /not a member/)
  await assert.rejects(write('120363000000000000@g.us'), refused(404))
  world.expectProblems('refused', /no group/)
  await assert.rejects(createGroup(benWeb.connection, 'With nobody', ['15559990000@s.whatsapp.net']), refused(404))
  world.expectProblems('refused', /no account/)
  await assert.rejects(createGroup(benWeb.connection, 'x'.repeat(101), []), refused(406))
  world.expectProblems('malformed', /subject/)
})

test('a device left out, and a device that is no more, are noticed', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  const onlyTheirs: Spoil = (stanza) => ({
    ...stanza,
    content: partsOf(stanza).map((list) =>
      list.tag === 'participants' ? { ...list, content: [partsOf(list)[0]!] } : list,
    ),
  })
  await client.sendText(ben.account.lidJid, 'not to my phone', { spoil: onlyTheirs })
  world.expectProblems('missing_device', new RegExp(`no copy for ${ann.account.jid}`))
  const stale = await world.link(ben)
  await client.notifications.take(({ attrs }) => attrs.type === 'devices')
  const old = {
    spoil: (stanza: Stanza) => {
      world.sandbox.service.removeDevice(ben.account.devices.get(1)!)
      return stanza
    },
  }
  await client.sendText(ben.account.lidJid, 'to a device that has gone', old)
  world.expectProblems('unknown_device', new RegExp(stale.own.lid))
})

/** Exactly one line, by this client. */
function expectOne(world: World, client: StrictClient, pattern: RegExp): void {
  const { log } = world.sandbox.service
  const problems = log.list()
  assert.deepEqual([problems.length, problems[0]?.from], [1, client.own.own.jid], `${pattern}`)
  assert.match(problems[0]!.text, pattern)
  assert.ok(problems[0]!.stanza?.startsWith('<message'))
  log.clear()
}
