import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatJid, lidJid, parseJid, phoneJid, SERVICE_JID, withoutDevice } from './jid.ts'

test('addresses of users, devices, groups and the service', () => {
  assert.deepEqual(parseJid('491@s.whatsapp.net'), { user: '491', server: 's.whatsapp.net', device: 0 })
  assert.deepEqual(parseJid('491:12@lid'), { user: '491', server: 'lid', device: 12 })
  assert.deepEqual(parseJid('491_1:2@s.whatsapp.net'), { user: '491', server: 's.whatsapp.net', device: 2 })
  assert.deepEqual(parseJid('12-34@g.us'), { user: '12-34', server: 'g.us', device: 0 })
  assert.deepEqual(parseJid(SERVICE_JID), { user: '', server: 's.whatsapp.net', device: 0 })
  assert.deepEqual(parseJid('s.whatsapp.net'), { user: '', server: 's.whatsapp.net', device: 0 })
  for (const bad of [undefined, '', 'a@b@c', '1:x@lid', '1@']) assert.equal(parseJid(bad), undefined)
})

test('device 0 is written as the user', () => {
  assert.equal(phoneJid('1'), '1@s.whatsapp.net')
  assert.equal(lidJid('1', 3), '1:3@lid')
  assert.equal(formatJid('1', 'lid', 0), '1@lid')
  assert.equal(withoutDevice('1:3@lid'), '1@lid')
  assert.equal(withoutDevice('5@g.us'), '5@g.us')
})
