import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BinaryNode, node } from '../wire/node.ts'
import { NoAnswerError, StanzaClient, StanzaError } from './stanza-client.ts'

function connect() {
  const sent: BinaryNode[] = []
  const client = new StanzaClient()
  client.connect({
    jid: '1@s.whatsapp.net',
    lid: '2@lid',
    send: (stanza) => sent.push(stanza),
    detach: () => undefined,
  })
  return { client, sent }
}

test('an IQ gets the answer with its id, whatever else comes', async () => {
  const { client, sent } = connect()
  const answer = client.query('get', 'w:p', '@s.whatsapp.net', [node('ping')])
  const { id, ...attrs } = sent[0]!.attrs
  assert.deepEqual(attrs, { type: 'get', xmlns: 'w:p', to: '@s.whatsapp.net' })
  assert.equal(client.takeAnswer(node('iq', { id: 'other', type: 'result' })), false)
  assert.equal(client.takeAnswer(node('iq', { id, type: 'result' })), true)
  assert.equal((await answer).attrs.id, id)
  assert.equal(client.takeAnswer(node('iq', { id, type: 'result' })), false, 'only once')
})

test('errors, of an IQ or in an ack, reject with their code', async () => {
  const { client, sent } = connect()
  const query = client.query('get', 'x', '@s.whatsapp.net', [])
  client.takeAnswer(node('iq', { id: sent[0]!.attrs.id, type: 'error' }, [node('error', { code: 404, text: 'no' })]))
  await assert.rejects(query, (error) => error instanceof StanzaError && error.code === 404 && error.message === 'no')
  const message = client.exchange('M', node('message', { id: 'M' }))
  client.takeAnswer(node('ack', { id: 'M', class: 'message', error: 463 }))
  await assert.rejects(message, (error) => error instanceof StanzaError && error.code === 463)
})

test('going offline fails what waits, and whatever is sent afterwards', async () => {
  const { client } = connect()
  const query = client.query('get', 'x', '@s.whatsapp.net', [])
  client.disconnect()
  await assert.rejects(query, /went offline/)
  await assert.rejects(client.query('get', 'x', '@s.whatsapp.net', []), /offline/)
  assert.throws(() => client.send(node('presence')), /offline/)
})

test('what is never answered fails after five seconds', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const { client } = connect()
  const query = client.query('get', 'x', '@s.whatsapp.net', [])
  context.mock.timers.tick(5_000)
  await assert.rejects(query, NoAnswerError)
})
