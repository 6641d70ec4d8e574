import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { WebSocket } from 'ws'

const MAIN = new URL('../src/main.ts', import.meta.url).pathname

test('the process says in one line where it is, serves plain and TLS, and ends on SIGTERM', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sandbox-'))
  const caFile = join(folder, 'ca.pem')
  const args = ['--port', '0', '--people', '2', '--seed', 'process test', '--ca-file', caFile]
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    const ready = JSON.parse(line)
    assert.equal(ready.ready, true)
    assert.match(ready.noise_root, /^[0-9a-f]{64}$/)
    assert.equal(ready.people.length, 2)
    const ca = await readFile(caFile, 'utf8')
    for (const [url, options] of [
      [ready.ws, {}],
      [ready.wss, { ca }],
    ]) {
      const socket = new WebSocket(url, options)
      await once(socket, 'open')
      socket.terminate()
    }
    const untrusting = new WebSocket(ready.wss)
    const [error] = await once(untrusting, 'error')
    assert.equal(error.code, 'SELF_SIGNED_CERT_IN_CHAIN')
    const answer = await new Promise<number | undefined>((resolve, reject) => {
      request(`${ready.https}/sandbox/people`, { ca, agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
    assert.equal(answer, 200)
    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    assert.equal(code, 0)
  } finally {
    child.kill('SIGKILL')
    await rm(folder, { recursive: true })
  }
})

test('a wrong argument is explained', async () => {
  const child = spawn(process.execPath, [MAIN, '--port', 'x'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const stderr = (await child.stderr.toArray()).join('')
  assert.match(stderr, /--port must be a number from 0 to 65535/)
  if (child.exitCode === null) await once(child, 'exit')
  assert.equal(child.exitCode, 2)
})
