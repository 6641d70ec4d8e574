import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BinaryNode } from 'baileys'
import { FakeClock } from '../../../test/support/fake-clock.ts'
import { isParleyError } from '../../kernel/errors.ts'
import { MediaServers } from './media-servers.ts'

const answerOf = (auth: string): BinaryNode => ({
  tag: 'iq',
  attrs: {},
  content: [
    {
      tag: 'media_conn',
      attrs: { auth, ttl: '300' },
      content: ['mmg.whatsapp.net', 'media-fra5-1.cdn.whatsapp.net'].map((hostname) => ({
        tag: 'host',
        attrs: { hostname },
      })),
    },
  ],
})

const serversAnswering = (...answers: readonly (BinaryNode | undefined | Error)[]) => {
  const clock = new FakeClock(0)
  let asked = 0
  const query = async () => {
    const answer = answers[asked++]
    if (answer instanceof Error) throw answer
    return answer
  }
  return { clock, servers: new MediaServers({ sock: { query } as never, clock }), asked: () => asked }
}

test('a leave is used until it ends or is refused', async () => {
  const { servers, clock, asked } = serversAnswering(answerOf('a'), answerOf('b'), answerOf('c'))
  const [first] = await Promise.all([servers.leave(false), servers.leave(false), servers.leave(false)])
  assert.deepEqual([first.auth, first.hosts], ['a', ['mmg.whatsapp.net', 'media-fra5-1.cdn.whatsapp.net']])
  await clock.advance(299_000)
  assert.equal((await servers.leave(false)).auth, 'a')
  await clock.advance(1_000)
  const later = await Promise.all([servers.leave(false), servers.leave(false)])
  assert.deepEqual(
    later.map(({ auth }) => auth),
    ['b', 'b'],
  )
  assert.equal((await servers.leave(true)).auth, 'c')
  assert.equal(asked(), 3)
})

test('a question that failed is asked again', async () => {
  const { servers } = serversAnswering(new Error('boom'), undefined, { tag: 'iq', attrs: {} }, answerOf('d'))
  await assert.rejects(servers.leave(false), (error) => isParleyError(error, 'whatsapp_refused'))
  await assert.rejects(servers.leave(false), (error) => isParleyError(error, 'whatsapp_timeout'))
  await assert.rejects(servers.leave(false), (error) => isParleyError(error, 'whatsapp_refused'))
  assert.equal((await servers.leave(false)).auth, 'd')
})
