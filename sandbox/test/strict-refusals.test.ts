import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LinkRefused } from '../src/phone/linking.ts'
import { ConnectionEnded, RequestRefused } from './strict-client/connection.ts'
import { newKeyPair } from './strict-client/curve.ts'
import { createGroup, fetchGroup } from './strict-client/groups.ts'
import { Installation } from './strict-client/installation.ts'
import { compareDigest, rotateSignedPreKey, type Upload, uploadPreKeys } from './strict-client/keys.ts'
import { LinkingClient, type SpoilRegistration } from './strict-client/linking.ts'
import { make, part, partsOf } from './strict-client/stanza.ts'
import { World } from './support/strict.ts'

const refused = (code: number) => (error: unknown) => error instanceof RequestRefused && error.code === code

const REGISTRATIONS: Readonly<Record<string, SpoilRegistration>> = {
  'a signed pre-key with a wrong signature': (data) => {
    data.eSkeySig![0]! ^= 1
  },
  'a signed pre-key of somebody else': (data) => {
    data.eSkeyVal = newKeyPair().public
  },
  'a short identity': (data) => {
    data.eIdent = data.eIdent!.subarray(1)
  },
  'another key type': (data) => {
    data.eKeytype = Buffer.of(6)
  },
  'a registration id of three bytes': (data) => {
    data.eRegid = data.eRegid!.subarray(1)
  },
  'no build hash': (data) => {
    delete data.buildHash
  },
}

test('registrations with wrong keys are refused', async () => {
  await using world = await World.start()
  for (const [what, spoil] of Object.entries(REGISTRATIONS)) {
    await using client = await LinkingClient.connect(world.endpoint, new Installation('Companion'), spoil)
    const failure = await client.connection.whenClosed
    assert.deepEqual([failure?.tag, failure?.attrs.reason], ['failure', '400'], what)
    world.expectProblems('bad_signature', /registration refused/)
  }
})

test('a forged device signature ends the link', async () => {
  await using world = await World.start()
  const ann = world.person('Ann')
  await using client = await LinkingClient.connect(world.endpoint, new Installation('Companion'))
  const [qr] = await client.showQr()
  const forge = (signature: Buffer) => {
    signature[40]! ^= 1
  }
  await Promise.all([
    assert.rejects(ann.linking.scan(qr!), (error) => error instanceof LinkRefused && error.code === 'link_failed'),
    assert.rejects(client.whenLinked(forge), ConnectionEnded),
  ])
  assert.deepEqual(ann.account.companions, [])
  world.expectProblems('bad_signature', /device signature/)
})

test('a client that is not linked may not send messages or ask for anything but linking', async () => {
  await using world = await World.start()
  await using client = await LinkingClient.connect(world.endpoint, new Installation('Companion'))
  const { connection } = client
  await assert.rejects(connection.query('get', 'usync', [make('usync')]), refused(501))
  world.expectProblems('unknown_stanza', /not-implemented/)
  connection.send(make('message', { id: '1', to: '15550100001@s.whatsapp.net', type: 'text' }))
  await connection.query('get', 'w:p', [make('ping')])
  world.expectProblems('forbidden', /message/)
})

const UPLOADS: Readonly<Record<string, (upload: Upload) => void>> = {
  'a wrong signature of the signed pre-key': (upload) => {
    upload.signedPreKey.signature[3]! ^= 1
  },
  'another signed pre-key under the old signature': (upload) => {
    upload.signedPreKey.public = newKeyPair().public
  },
  'another identity': (upload) => {
    upload.identity = newKeyPair().public
  },
  'another registration id': (upload) => {
    upload.registrationId = (upload.registrationId % 16_000) + 1
  },
  'a pre-key of 31 bytes': (upload) => {
    upload.preKeys[0]!.public = Buffer.alloc(31)
  },
  'a pre-key of id 0': (upload) => {
    upload.preKeys[0]!.id = 0
  },
  'one pre-key id twice': (upload) => {
    upload.preKeys[1]!.id = upload.preKeys[0]!.id
  },
}

test('uploads of wrong keys are refused', async () => {
  await using world = await World.start()
  await using client = await world.companion(world.person('Ann'))
  for (const [what, spoil] of Object.entries(UPLOADS)) {
    await assert.rejects(uploadPreKeys(client.connection, client.own, 3, spoil), refused(400), what)
    world.expectProblems(/identity|signature/.test(what) ? 'bad_signature' : 'malformed', /./)
  }
  await compareDigest(client.connection, client.own)
})

test('a signed pre-key is not replaced by one that the identity did not sign', async () => {
  await using world = await World.start()
  await using client = await world.companion(world.person('Ann'))
  await assert.rejects(rotateSignedPreKey(client.connection, client.own, newKeyPair()), refused(409))
  world.expectProblems('bad_signature', /not signed by the identity/)
  await rotateSignedPreKey(client.connection, client.own)
})

test('unknown requests get 501, requests about nobody 404 or nothing, and the log has a line', async () => {
  await using world = await World.start()
  const [ann, ben] = [world.person('Ann'), world.person('Ben')]
  await using client = await world.companion(ann)
  const { connection } = client
  await assert.rejects(connection.query('get', 'no:such:thing', [make('thing')]), refused(501))
  await assert.rejects(connection.query('set', 'encrypt', [make('thing')]), refused(501))
  world.expectProblems('unknown_stanza', /not-implemented/)
  const unknown = [make('key', {}, [make('user', { jid: '100000000000000@lid' })])]
  const answer = await connection.query('get', 'encrypt', unknown)
  assert.deepEqual(partsOf(part(answer, 'list')), [])
  world.expectProblems('unknown_device', /100000000000000@lid/)
  await assert.rejects(fetchGroup(connection, '120363000000000000@g.us'), refused(404))
  await using benWeb = await world.companion(ben)
  const group = await createGroup(benWeb.connection, 'Without Ann', [])
  await assert.rejects(fetchGroup(connection, group.jid), refused(403))
  await assert.rejects(
    connection.query('set', 'w:sync:app:state', [make('sync', {}, [make('collection', { name: 'x' })])]),
    refused(400),
  )
  world.expectProblems('malformed', /collection/)
})
