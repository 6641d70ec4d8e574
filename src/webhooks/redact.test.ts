import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutCredentials } from './redact.ts'

const secrets = {
  secret: 'whsec "of" the hook',
  headers: {
    Authorization: `Basic ${Buffer.from('parley:open sesame').toString('base64')}`,
    'X-Key': 'Bearer eyJhbGciOi.payload.sign',
    'X-Tenant': 'abc',
  },
  url: 'https://example.org/hook?token=a%20long%20token&v=2',
}
const clean = (text: string) => withoutCredentials(text, secrets)

test('whatever of the request comes back as an echo is blacked out, whole or in part, plain or as JSON', () => {
  assert.equal(clean('bad signature of whsec "of" the hook'), 'bad signature of ***')
  assert.equal(clean(JSON.stringify({ secret: secrets.secret })), '{"secret":"***"}')
  assert.equal(clean(JSON.stringify({ headers: secrets.headers })).match(/Basic|parley|eyJ/), null)
  assert.equal(clean('token eyJhbGciOi.payload.sign has expired'), 'token *** has expired')
  assert.equal(clean('no user parley:open sesame'), 'no user ***')
  assert.equal(clean('password "open sesame" is wrong'), 'password "***" is wrong')
  assert.equal(clean('POST /hook?token=a%20long%20token&v=2 failed'), 'POST /hook?token=***&v=2 failed')
  assert.equal(clean('token "a long token" is unknown'), 'token "***" is unknown')
})

test('what was cut off within a credential does not show its beginning', () => {
  const full = `X-Key: ${secrets.headers['X-Key']}`
  for (let length = full.length - 1; length > 'X-Key: Bear'.length; length--)
    assert.equal(clean(full.slice(0, length)).includes('eyJh'), false, full.slice(0, length))
})

test('ordinary words stay', () => {
  assert.equal(clean('HTTP 500: abc v=2 the hook was not of use'), 'HTTP 500: abc v=2 the hook was not of use')
})
