import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startSandbox } from '../../sandbox/src/server.ts'
import { ApiError, createDevices } from '../../scripts/lib/api.ts'
import { startGatewayProcess } from '../../scripts/lib/gateway.ts'

const open = async () => {
  const stack = new AsyncDisposableStack()
  const home = await mkdtemp(join(tmpdir(), 'parley-tls-'))
  stack.defer(() => rm(home, { recursive: true, force: true }))
  const caFile = join(home, 'ca.pem')
  const sandbox = stack.use(await startSandbox({ tlsPort: 0, caFile }))
  const link = async (settings: Record<string, string>) => {
    const address = { ws: sandbox.wss!, noiseRoot: sandbox.noiseRoot.toString('hex') }
    await using gateway = await startGatewayProcess({
      home: await mkdtemp(join(home, 'g-')),
      sandbox: address,
      env: settings,
    })
    const { devices } = await createDevices(gateway.url, gateway.adminSecret, ['tls'])
    const [device] = devices
    const { linking } = sandbox.people.add({ name: 'Ann' })
    const { status } = await linking.scan(await device!.qrText())
    await device!.untilConnected()
    return status
  }
  return { link, caFile, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('over TLS the gateway trusts the authority it is given', async () => {
  await using parts = await open()
  assert.equal(await parts.link({ WHATSAPP_TLS_CA_FILE: parts.caFile }), 'linked')
})

test('over TLS to this machine verification can be switched off', async () => {
  await using parts = await open()
  assert.equal(await parts.link({ WHATSAPP_TLS_INSECURE: 'true' }), 'linked')
})

test('over TLS an unknown authority is refused', async () => {
  await using parts = await open()
  await assert.rejects(parts.link({}), (error) => error instanceof ApiError && error.code === 504)
})
