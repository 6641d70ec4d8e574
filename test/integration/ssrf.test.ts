import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/kernel/clock.ts'
import { AddressGuard } from '../../src/webhooks/address-guard.ts'
import { HttpWebhookClient } from '../../src/webhooks/client.ts'
import { createResolver } from '../../src/webhooks/resolver.ts'
import { type DnsAnswer, type DnsServer, type QuestionType, startDnsServer } from '../support/dns-server.ts'
import { makeLoopbackDial } from '../support/loopback-dial.ts'

/** Belongs to nobody here: the test's dial writes it down and refuses. */
const PUBLIC = '93.184.215.14'
const PUBLIC_6 = '2606:2800:21f:cb07:6820:80da:af6b:8b2c'

/** Names that lead inside, as the attacker's DNS server answers. */
const INSIDE: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.1'],
  'loopback, another of them': ['127.99.1.2'],
  'any address': ['0.0.0.0'],
  'this network': ['0.1.2.3'],
  'private 10': ['10.0.0.1'],
  'private 172': ['172.16.5.4'],
  'private 172, upper end': ['172.31.255.254'],
  'private 192': ['192.168.1.1'],
  'link-local': ['169.254.1.1'],
  'cloud metadata': ['169.254.169.254'],
  'container metadata': ['169.254.170.2'],
  'cloud metadata, Alibaba': ['100.100.100.200'],
  'cloud metadata, Oracle': ['192.0.0.192'],
  'platform of Azure': ['168.63.129.16'],
  'carrier-grade NAT': ['100.64.0.1'],
  multicast: ['224.0.0.251'],
  broadcast: ['255.255.255.255'],
  'reserved 240': ['240.0.0.1'],
  documentation: ['192.0.2.7'],
  benchmarking: ['198.18.0.1'],
  'loopback 6': ['::1'],
  'any address 6': ['::'],
  'unique local 6': ['fd00:0:0:0:0:0:0:1'],
  'link-local 6': ['fe80:0:0:0:0:0:0:1'],
  'site-local 6': ['fec0:0:0:0:0:0:0:1'],
  'multicast 6': ['ff02:0:0:0:0:0:0:1'],
  'cloud metadata 6': ['fd00:ec2:0:0:0:0:0:254'],
  'mapped loopback': ['0:0:0:0:0:ffff:7f00:1'],
  'mapped metadata': ['0:0:0:0:0:ffff:a9fe:a9fe'],
  'compatible loopback': ['0:0:0:0:0:0:7f00:1'],
  '6to4 of loopback': ['2002:7f00:1:0:0:0:0:0'],
  'NAT64 of metadata': ['64:ff9b:0:0:0:0:a9fe:a9fe'],
  'Teredo of loopback': ['2001:0:7f00:1:0:0:0:1'],
  'a public and a private one': [PUBLIC, '10.0.0.1'],
  'a private and a public one': ['192.168.0.10', PUBLIC],
  'a public 4 and a local 6': [PUBLIC, '::1'],
  'a public 6 and a local 4': [PUBLIC_6, '127.0.0.1'],
}

/** What a URL may say instead of a name; `{port}` is the canary's. */
const LITERAL = [
  'http://127.0.0.1:{port}/',
  'http://127.1:{port}/',
  'http://2130706433:{port}/',
  'http://0x7f.1:{port}/',
  'http://0177.0.0.1:{port}/',
  'http://0:{port}/',
  'http://[::1]:{port}/',
  'http://[::]:{port}/',
  'http://[::ffff:127.0.0.1]:{port}/',
  'http://[::ffff:7f00:1]:{port}/',
  'http://[0:0:0:0:0:0:0:1]:{port}/',
  'http://①②⑦.⓪.⓪.①:{port}/',
  'http://127.0.0.1.:{port}/',
]

describe('webhooks lead nowhere inside', { timeout: 30_000 }, () => {
  let dns: DnsServer
  let answerOf: (name: string, type: QuestionType) => DnsAnswer
  let canaryPort: number
  let heard = 0
  const canary = createServer((_, response) => {
    heard += 1
    response.end('you are inside')
  })
  before(async () => {
    dns = await startDnsServer((name, type) => answerOf(name, type))
    // both families, so that whichever way in is tried somebody is at home
    await new Promise<void>((resolve) => canary.listen({ port: 0, host: '::', ipv6Only: false }, resolve))
    canaryPort = (canary.address() as AddressInfo).port
  })
  after(async () => {
    canary.closeAllConnections()
    canary.close()
    await dns[Symbol.asyncDispose]()
  })

  /** A client whose names come from the test's DNS server, and whose sockets cannot leave the machine. */
  const makeClient = (allowedNetworks: readonly string[] = []) => {
    const { dial, escapes } = makeLoopbackDial()
    const dialled: string[] = []
    const resolver = createResolver({
      servers: [dns.address],
      timeoutMs: 150,
      system: async (host) => {
        throw new Error(`not asked in this test: ${host}`)
      },
    })
    const guard = new AddressGuard({ allowHttp: true, allowedNetworks, resolver })
    const client = new HttpWebhookClient({
      guard,
      clock: systemClock,
      dial: (target) => {
        dialled.push(target.address)
        return dial(target)
      },
    })
    return { client, escapes, dialled }
  }
  const post = (client: HttpWebhookClient, url: string) =>
    client.post({ url: url.replace('{port}', String(canaryPort)), headers: {}, body: Buffer.from('{}') })

  const mustRefuse = async (url: string) => {
    const before = heard
    const { client, dialled } = makeClient()
    await using _ = client
    const answer = await post(client, url)
    assert.equal(answer.kind, 'failed')
    assert.match((answer as { error: string }).error, /may not reach|has no address/)
    assert.deepEqual(dialled, [], 'nothing was dialled')
    assert.equal(heard, before, 'the canary heard nothing')
  }

  for (const [what, addresses] of Object.entries(INSIDE))
    test(`a name that leads to ${what}`, async () => {
      answerOf = () => addresses
      await mustRefuse('http://evil.example:{port}/')
    })

  for (const url of LITERAL) test(`the address itself: ${url}`, () => mustRefuse(url))

  test('an alias that leads inside', async () => {
    answerOf = () => ({ cname: 'localhost.evil.example', addresses: ['127.0.0.1'] })
    await mustRefuse('http://alias.example:{port}/')
  })

  test('rebinding: what was checked is what is dialled, whatever the name says a moment later', async () => {
    let asked = 0
    // First public, then inside, as a DNS server with a lifetime of 0 may.
    answerOf = (_, type) => {
      if (type !== 'A') return []
      asked += 1
      return asked === 1 ? [PUBLIC] : ['127.0.0.1']
    }
    const before = heard
    const { client, dialled, escapes } = makeClient()
    await using _ = client
    const first = await post(client, 'http://rebind.example:{port}/')
    assert.equal(first.kind, 'failed')
    assert.deepEqual(dialled, [PUBLIC])
    assert.equal(escapes.length, 1, 'the dial that the guard allowed is the one to the public address')
    assert.equal(asked, 1, 'the name was asked for once')
    const second = await post(client, 'http://rebind.example:{port}/')
    assert.match((second as { error: string }).error, /may not reach/)
    assert.deepEqual(dialled, [PUBLIC])
    assert.equal(heard, before)
  })

  test('rebinding within one answer: one family in time, the other late or broken', async () => {
    const before = heard
    for (const late of ['silence', 'servfail', 'nxdomain'] as const) {
      answerOf = (_, type) => (type === 'A' ? [PUBLIC] : late)
      const { client, dialled } = makeClient()
      await using _ = client
      await post(client, 'http://half.example:{port}/')
      assert.deepEqual(dialled, [PUBLIC], late)
      answerOf = (_, type) => (type === 'A' ? ['127.0.0.1'] : late)
      assert.match(
        ((await post(client, 'http://half.example:{port}/')) as { error: string }).error,
        /may not reach/,
        late,
      )
    }
    assert.equal(heard, before)
  })

  test('a name that does not answer fails in time, and dials nothing', async () => {
    for (const broken of ['silence', 'servfail'] as const) {
      answerOf = () => broken
      const { client, dialled } = makeClient()
      await using _ = client
      assert.equal((await post(client, 'http://broken.example:{port}/')).kind, 'failed')
      assert.deepEqual(dialled, [])
    }
  })

  test('a redirect inside is not followed', async () => {
    const before = heard
    const redirecting = createServer((_, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${canaryPort}/` }).end()
    })
    await new Promise<void>((resolve) => redirecting.listen(0, '127.0.0.1', resolve))
    try {
      const { client } = makeClient(['127.0.0.1'])
      await using _ = client
      const answer = await client.post({
        url: `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}/`,
        headers: {},
        body: Buffer.from('{}'),
      })
      assert.equal(answer.kind === 'answered' && answer.status, 307)
      assert.equal(heard, before)
    } finally {
      redirecting.close()
    }
  })

  test('what the operator lets in is reached, by block and by name: the canary is alive', async () => {
    answerOf = (_, type) => (type === 'A' ? ['127.0.0.1'] : [])
    for (const allowed of [['127.0.0.0/8'], ['inside.example'], ['*.example']]) {
      const before = heard
      const { client, escapes } = makeClient(allowed)
      await using _ = client
      const answer = await post(client, 'http://inside.example:{port}/')
      assert.equal(answer.kind === 'answered' && answer.status, 200, allowed[0])
      assert.equal(heard, before + 1)
      assert.deepEqual(escapes, [])
    }
    answerOf = (_, type) => (type === 'AAAA' ? ['::1'] : [])
    const { client } = makeClient(['::1'])
    await using _ = client
    assert.equal((await post(client, 'http://inside.example:{port}/')).kind, 'answered')
  })
})
