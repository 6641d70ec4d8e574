import assert from 'node:assert/strict'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls'
import { makeServerCredentials } from '../../sandbox/src/tls/certificates.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { AddressGuard } from '../../src/webhooks/address-guard.ts'
import { HttpWebhookClient } from '../../src/webhooks/client.ts'
import { makeLoopbackDial } from '../support/loopback-dial.ts'

const before = getCACertificates('default')
after(() => setDefaultCACertificates(before))

test('a receiver over https must show a certificate for its own name that is trusted', {
  timeout: 20_000,
}, async () => {
  const { key, cert, ca } = makeServerCredentials(['hook.example'], Date.now())
  const names: unknown[] = []
  const server = createServer({ key, cert }, (request, response) => {
    names.push((request.socket as TLSSocket).servername)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const guard = new AddressGuard({
    allowHttp: false,
    allowedNetworks: ['127.0.0.1'],
    resolver: async () => ['127.0.0.1'],
  })
  await using client = new HttpWebhookClient({ guard, clock: systemClock, dial: makeLoopbackDial().dial })
  const post = (host: string) => client.post({ url: `https://${host}:${port}/`, headers: {}, body: Buffer.from('{}') })

  const untrusted = await post('hook.example')
  assert.ok(untrusted.kind === 'failed')
  assert.match(untrusted.error, /certificate/)

  setDefaultCACertificates([...before, ca])
  const trusted = await post('hook.example')
  assert.ok(trusted.kind === 'answered' && trusted.status === 200)
  assert.deepEqual(names, ['hook.example'])

  for (const host of ['other.example', '127.0.0.1']) {
    const other = await post(host)
    assert.ok(other.kind === 'failed')
    assert.match(other.error, /altnames/)
  }
  server.closeAllConnections()
  await new Promise<void>((resolve) => server.close(() => resolve()))
})
