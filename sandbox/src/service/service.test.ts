import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { message, msg, pkmsg, Stage } from '../../test/support/stage.ts'
import { type BinaryNode, node } from '../wire/node.ts'
import { jidOf } from './groups.ts'

/** Stanzas a client sends, as the starting point for damage. */
function typicalStanzas(stage: Stage) {
  const [ann, ben] = [stage.addPhone('Ann'), stage.addPhone('Ben')]
  const web = stage.addCompanion(ann)
  const group = jidOf(stage.service.groups.create(ann.device.account, 'Friends', [ben.device.account]))
  const iq = (type: string, xmlns: string, content: BinaryNode[], to = '@s.whatsapp.net') =>
    node('iq', { id: '1', type, xmlns, to }, content)
  const user = node('user', { jid: ben.device.lid }, [node('contact', {}, '+491')])
  const lists = [
    node('query', {}, [node('devices'), node('contact'), node('lid'), node('status')]),
    node('list', {}, [user]),
  ]
  const participant = node('participant', { jid: ben.device.lid })
  const key = [
    node('id', {}, Buffer.of(0, 0, 1)),
    node('value', {}, Buffer.alloc(32)),
    node('signature', {}, Buffer.alloc(64)),
  ]
  const bundle = [
    node('registration', {}, Buffer.of(0, 0, 0, 1)),
    node('type', {}, Buffer.of(5)),
    node('identity', {}, Buffer.from(web.device.identity)),
    node('list', {}, [node('key', {}, key)]),
    node('skey', {}, key),
  ]
  const identity = node('device-identity', {}, Buffer.from(web.device.signedIdentity!))
  const stanzas = [
    message('M', ben.device.account, [[ben.device.lid, pkmsg(web.identity)]], [identity]),
    node('message', { id: 'G', to: group, type: 'text' }, [
      node('participants', {}, [node('to', { jid: ben.device.lid }, [msg()])]),
      msg('skmsg'),
    ]),
    node('message', { id: 'P', to: ann.device.jid, type: 'text', category: 'peer' }, [msg()]),
    node('receipt', { id: 'M', to: ben.device.lid, type: 'read', t: 1 }, [
      node('list', {}, [node('item', { id: 'N' })]),
    ]),
    node('ack', { id: 'M', class: 'message', to: ben.device.lid }),
    node('presence', { type: 'subscribe', to: ben.device.lid }),
    node('chatstate', { to: ben.device.lid }, [node('composing')]),
    iq('get', 'usync', [node('usync', { sid: 's', mode: 'query' }, lists)]),
    iq('get', 'encrypt', [node('key', {}, [node('user', { jid: ben.device.lid })])]),
    iq('set', 'encrypt', bundle),
    iq('set', 'encrypt', [node('rotate', {}, [node('skey', {}, key)])]),
    iq('set', 'privacy', [node('tokens', {}, [node('token', { jid: ben.device.lid, t: 1, type: 'trusted_contact' })])]),
    iq('set', 'privacy', [node('privacy', {}, [node('category', { name: 'last', value: 'all' })])]),
    iq('set', 'blocklist', [node('item', { jid: ben.device.lid, action: 'block' })]),
    iq('set', 'w:sync:app:state', [
      node('sync', {}, [
        node('collection', { name: 'regular', version: 0 }, [node('patch', {}, Buffer.of(0x1a, 1, 7))]),
      ]),
    ]),
    iq('set', 'w:g2', [node('create', { subject: 'X', key: 'k' }, [participant])], '@g.us'),
    iq('set', 'w:g2', [node('add', {}, [participant])], group),
    iq('set', 'w:g2', [node('leave', {}, [node('group', { id: group })])], '@g.us'),
    iq('get', 'w:mex', [node('query', { query_id: '23983697327930364' }, '{}')]),
    iq('set', 'md', [node('remove-companion-device', { jid: '1:9@lid' })]),
  ]
  return { web, stanzas }
}

const NASTY = [
  '',
  '0',
  '-1',
  'NaN',
  '@',
  'x'.repeat(300),
  '1@lid',
  ':@lid',
  '99999999999999999999@s.whatsapp.net',
  '__proto__',
  '1@g.us',
]

/** One thing about a stanza, somewhere in it, made wrong. */
type Damage = (stanza: BinaryNode) => void

const damage: fc.Arbitrary<Damage> = fc
  .tuple(fc.nat(), fc.nat(), fc.constantFrom(...NASTY), fc.uint8Array({ maxLength: 40 }), fc.nat(5))
  .map(([where, which, text, bytes, what]) => (stanza) => {
    const all = flatten(stanza)
    const target = all[where % all.length]!
    const names = Object.keys(target.attrs)
    const name = names[which % Math.max(names.length, 1)]
    if (what === 0 && name !== undefined) delete target.attrs[name]
    else if (what === 1 && name !== undefined) target.attrs[name] = text
    else if (what === 2) delete target.content
    else if (what === 3) target.content = Buffer.from(bytes)
    else if (what === 4) target.content = [node(text || 'x'), ...(Array.isArray(target.content) ? target.content : [])]
    else target.tag = text || 'x'
  })

function flatten(stanza: BinaryNode): BinaryNode[] {
  return [stanza, ...(Array.isArray(stanza.content) ? stanza.content.flatMap(flatten) : [])]
}

test('no damaged stanza makes the service fail, and every IQ with an id is answered', () => {
  const stage = new Stage()
  const { web, stanzas } = typicalStanzas(stage)
  fc.assert(
    fc.property(fc.constantFrom(...stanzas), fc.array(damage, { minLength: 1, maxLength: 4 }), (stanza, damages) => {
      const sent = structuredClone(stanza)
      for (const change of damages) change(sent)
      web.received = []
      web.send(sent)
      const failures = stage.service.log.list({ kind: 'internal' })
      assert.deepEqual(failures, [])
      const { id, type } = sent.attrs
      if (sent.tag !== 'iq' || id === undefined || type === 'result' || type === 'error') return
      assert.ok(
        web.take((answer) => answer.tag === 'iq' && answer.attrs.id === id),
        'an answer',
      )
    }),
    { numRuns: 2000 },
  )
})
