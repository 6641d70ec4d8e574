import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BinaryNode } from 'baileys'
import { extractGroupMetadata } from 'baileys/lib/Socket/groups.js'
import { ParleyError } from '../../kernel/errors.ts'
import { toEngineError } from './engine-errors.ts'

/** As Baileys throws it. */
const boom = (
  message: string,
  { statusCode = 500, data = null }: { statusCode?: number; data?: unknown } = {},
): Error => Object.assign(new Error(message), { isBoom: true, data, output: { statusCode } })

/** What Baileys makes of an answer to a group's query; undefined: there was none. */
const groupQueryError = (answer: BinaryNode | undefined): unknown => {
  try {
    return extractGroupMetadata(answer as BinaryNode)
  } catch (error) {
    return error
  }
}

const codeOf = (thrown: unknown) => toEngineError(thrown, 'sending a message').code

test('a connection that ends while something waits for its answer is no refusal, in whatever form it is told', () => {
  assert.equal(codeOf(1005), 'not_connected')
  assert.equal(codeOf(1006), 'not_connected')
  assert.equal(codeOf(boom('Connection Closed', { statusCode: 428 })), 'not_connected')
})

test('error nodes of the service keep their code', () => {
  const refused = toEngineError(boom('bad-request', { data: 400 }), 'sending a message')
  assert.deepEqual([refused.code, refused.data], ['whatsapp_refused', { whatsapp_code: 400 }])
  assert.equal(codeOf(boom('forbidden', { data: 403 })), 'forbidden')
  assert.equal(codeOf(boom('item-not-found', { data: 404 })), 'not_found')
})

test('a timeout is told as one, and our own errors as they are', () => {
  assert.equal(codeOf(boom('Timed Out', { statusCode: 408 })), 'whatsapp_timeout')
  assert.equal(codeOf(groupQueryError(undefined)), 'whatsapp_timeout')
  assert.equal(codeOf(groupQueryError({ tag: 'iq', attrs: {}, content: [] })), 'whatsapp_refused')
  const own = new ParleyError('storage_unavailable', 'away')
  assert.equal(toEngineError(own, 'x'), own)
})
