import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { makeServerCredentials } from './certificates.ts'

const NAMES = ['localhost', '127.0.0.1', '::1']

test('the certificate names its hosts and is signed by the authority', () => {
  const now = Date.now()
  const { cert, ca } = makeServerCredentials(NAMES, now)
  const [server, authority] = [new X509Certificate(cert), new X509Certificate(ca)]
  assert.equal(authority.ca, true)
  assert.equal(server.ca, false)
  assert.ok(server.verify(authority.publicKey))
  assert.ok(server.checkIssued(authority))
  assert.ok(authority.verify(authority.publicKey))
  assert.equal(server.checkHost('localhost'), 'localhost')
  assert.equal(server.checkIP('127.0.0.1'), '127.0.0.1')
  assert.equal(server.checkIP('::1'), '::1')
  assert.equal(server.checkHost('example.com'), undefined)
  assert.ok(Date.parse(server.validFrom) < now && Date.parse(server.validTo) > now)
})

test('a client that trusts the authority connects; one that does not, does not', async () => {
  const { key, cert, ca } = makeServerCredentials(NAMES, Date.now())
  await using server = createServer({ key, cert }, (_request, response) => response.end('hello'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const get = (trusted: string | undefined) =>
    new Promise<string>((resolve, reject) => {
      const trust = trusted === undefined ? {} : { ca: trusted }
      const call = request({ host: '127.0.0.1', port, agent: false, ...trust }, (response) => {
        response.setEncoding('utf8').on('data', resolve)
      })
      call.on('error', reject).end()
    })
  assert.equal(await get(ca), 'hello')
  await assert.rejects(get(undefined), { code: 'SELF_SIGNED_CERT_IN_CHAIN' })
  await assert.rejects(get(makeServerCredentials(NAMES, Date.now()).ca))
})
