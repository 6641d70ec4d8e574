import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isParleyError } from '../kernel/errors.ts'
import { AddressGuard, AddressRefused } from './address-guard.ts'

const guardWith = (answers: Readonly<Record<string, readonly string[]>>, allowedNetworks: readonly string[] = []) =>
  new AddressGuard({
    allowHttp: false,
    allowedNetworks,
    resolver: async (host) => answers[host] ?? [],
  })
const strict = guardWith({})

/** Where no webhook may go, by the reason. */
const REFUSED = {
  unspecified: ['0.0.0.0', '0.1.2.3', '::'],
  loopback: ['127.0.0.1', '127.255.255.254', '::1'],
  private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
  'unique local': ['fc00::1', 'fd12:3456:789a::1'],
  'link-local': ['169.254.1.1', 'fe80::1', 'febf::1'],
  'carrier-grade NAT': ['100.64.0.1', '100.127.255.255'],
  metadata: ['169.254.169.254', '169.254.170.2', '100.100.100.200', '192.0.0.192', '168.63.129.16', 'fd00:ec2::254'],
  multicast: ['224.0.0.1', '239.255.255.250', 'ff02::1'],
  broadcast: ['255.255.255.255'],
  reserved: ['192.0.2.1', '198.51.100.1', '203.0.113.1', '198.18.0.1', '240.0.0.1', '2001:db8::1', '3fff::1'],
  'mapped IPv4': ['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1', '::ffff:8.8.8.8'],
  'compatible IPv4': ['::127.0.0.1', '::7f00:1'],
  'translated IPv4': ['::ffff:0:127.0.0.1'],
  '6to4': ['2002:7f00:1::', '2002:a00:1::1'],
  NAT64: ['64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::1'],
  Teredo: ['2001:0:7f00:1::1'],
  'other special': ['100::1', 'fec0::1', '5f00::1', '4000::1', '192.88.99.1', '2001:20::1'],
}

/** The same, as a caller might write them; WHATWG URL parsing turns most into plain addresses. */
const REFUSED_URLS = [
  'https://localhost/x',
  'https://LOCALHOST./x',
  'https://a.localhost/x',
  'https://127.1/x',
  'https://2130706433/x', // decimal
  'https://0x7f000001/x',
  'https://0177.0.0.1/x', // octal
  'https://127.0.0.1:8443/x',
  'https://①②⑦.0.0.1/x', // full-width digits are mapped
  'https://[::1]/x',
  'https://[::ffff:127.0.0.1]/x',
  'https://[0:0:0:0:0:ffff:7f00:1]/x',
  'https://[::]/x',
  'https://0/x',
  'https://169.254.169.254/latest/meta-data/',
  'https://metadata.google.internal/computeMetadata/v1/',
  'https://192.168.0.1./x',
]

describe('the address guard', () => {
  for (const [reason, addresses] of Object.entries(REFUSED))
    for (const address of addresses)
      test(`refuses ${reason} ${address}, written and resolved`, async () => {
        assert.equal(strict.allows(address), false)
        await assert.rejects(strict.resolve(address), AddressRefused)
        await assert.rejects(guardWith({ 'evil.example': [address] }).resolve('evil.example'), AddressRefused)
        await assert.rejects(
          guardWith({ 'evil.example': ['93.184.215.14', address] }).resolve('evil.example'),
          AddressRefused,
        )
      })

  for (const url of REFUSED_URLS)
    test(`refuses ${url} at creation`, () => {
      assert.throws(
        () => strict.checkUrl(url, 'url'),
        (error) => isParleyError(error, 'bad_request') && error.field === 'url',
      )
    })

  test('lets public addresses through', async () => {
    for (const address of ['93.184.215.14', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::6810:84e5'])
      assert.equal(strict.allows(address), true, address)
    assert.deepEqual(await guardWith({ 'good.example': ['93.184.215.14', '2606:4700::1'] }).resolve('good.example'), [
      '93.184.215.14',
      '2606:4700::1',
    ])
    assert.deepEqual(await strict.resolve('[2606:4700::1]'), ['2606:4700::1'])
  })

  test('refuses what is no address, and a name without any', async () => {
    assert.equal(strict.allows('not an address'), false)
    assert.equal(strict.allows(''), false)
    await assert.rejects(strict.resolve('nothing.example'), AddressRefused)
  })

  test('lets inside only what the operator named, by block, address, name or suffix', async () => {
    const answers = {
      'in.example': ['10.1.2.3'],
      'hook.corp': ['192.168.7.7'],
      'a.svc.cluster.local': ['10.9.9.9'],
      'svc.cluster.local': ['10.9.9.9'],
      'mixed.example': ['10.1.2.3', '10.2.0.1'],
    }
    const guard = guardWith(answers, ['10.1.0.0/16', '127.0.0.1', 'fd00:1::/32', 'hook.corp', '*.svc.cluster.local'])
    assert.deepEqual(await guard.resolve('in.example'), ['10.1.2.3'])
    assert.deepEqual(await guard.resolve('HOOK.corp.'), ['192.168.7.7'])
    assert.deepEqual(await guard.resolve('a.svc.cluster.local'), ['10.9.9.9'])
    assert.deepEqual(await guard.resolve('fd00:1::5'), ['fd00:1::5'])
    await assert.rejects(guard.resolve('svc.cluster.local'), AddressRefused)
    await assert.rejects(guard.resolve('mixed.example'), AddressRefused)
    assert.equal(guard.allows('127.0.0.2'), false)
    assert.equal(guard.allows('::ffff:10.1.2.3'), false)
    assert.equal(guard.checkUrl('https://localhost:8443/x', 'url').port, '8443')
    assert.throws(() => guardWith({}, ['10.0.0.0/33']))
  })
})

describe('the URL of a webhook', () => {
  const refuses = (url: string, why: RegExp, guard = strict) =>
    assert.throws(
      () => guard.checkUrl(url, 'url'),
      (error) => isParleyError(error, 'bad_request') && error.field === 'url' && why.test(error.message),
    )

  test('must be https, unless http is allowed', () => {
    refuses('http://example.org/x', /must use https/)
    for (const url of ['ftp://example.org/', 'file:///etc/passwd', 'javascript:alert(1)', 'gopher://example.org/'])
      refuses(url, /must use https/)
    const relaxed = new AddressGuard({ allowHttp: true, allowedNetworks: [] })
    assert.equal(relaxed.checkUrl('http://example.org/x', 'url').protocol, 'http:')
    refuses('ftp://example.org/', /must use https/, relaxed)
  })

  test('must be a URL without credentials, of bounded length, to a port that speaks HTTP', () => {
    refuses('', /not a URL/)
    refuses('example.org/x', /not a URL/)
    refuses('https://', /not a URL/)
    refuses('https://user:pw@example.org/', /credentials/)
    refuses('https://user@example.org/', /credentials/)
    refuses(`https://example.org/${'x'.repeat(2048)}`, /longer than 2048/)
    refuses('https://example.org:25/', /port 25/)
    refuses('https://example.org:6379/', /port 6379/)
    refuses('https://example.org:0/', /port 0/)
    assert.equal(strict.checkUrl('https://example.org:8443/a?b=c', 'url').href, 'https://example.org:8443/a?b=c')
  })
})
