import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FoundPhone, PhoneLookups } from './phone-lookups.ts'

/** Answers when told to. */
const setUp = (batchSize: number) => {
  const queries: { phones: readonly string[]; answer: PromiseWithResolvers<ReadonlyMap<string, FoundPhone>> }[] = []
  const lookups = new PhoneLookups({
    batchSize,
    ask: (phones) => {
      const answer = Promise.withResolvers<ReadonlyMap<string, FoundPhone>>()
      queries.push({ phones, answer })
      return answer.promise
    },
  })
  const found = (...phones: readonly string[]) =>
    new Map(phones.map((phone) => [phone, { jid: `${phone}@s.whatsapp.net`, lid: undefined }]))
  return { lookups, queries, found, asked: () => queries.map(({ phones }) => phones) }
}

test('a lone number is asked about at once; what comes meanwhile goes together, in batches', async () => {
  const { lookups, queries, found, asked } = setUp(3)
  const first = lookups.find('1')
  const rest = ['2', '3'].map((phone) => lookups.find(phone))
  const same = lookups.find('2')
  assert.deepEqual(asked(), [['1']])
  rest.push(lookups.find('4'), lookups.find('5'))
  assert.deepEqual(asked(), [['1'], ['2', '3', '4']], 'a full batch waits for nobody')
  queries[0]!.answer.resolve(found('1'))
  assert.equal((await first)?.jid, '1@s.whatsapp.net')
  queries[1]!.answer.resolve(found('2', '4'))
  const answers = await Promise.all(rest.slice(0, 3))
  assert.deepEqual(
    answers.map((one) => one?.jid),
    ['2@s.whatsapp.net', undefined, '4@s.whatsapp.net'],
  )
  assert.equal((await same)?.jid, '2@s.whatsapp.net')
  assert.deepEqual(asked().at(-1), ['5'])
  queries[2]!.answer.resolve(found())
  assert.equal(await rest[3], undefined)
})

test('a query that fails fails its own numbers, and the next one goes', async () => {
  const { lookups, queries, found, asked } = setUp(2)
  const first = lookups.find('1')
  const second = lookups.find('2')
  queries[0]!.answer.reject(new Error('no answer'))
  await assert.rejects(first, /no answer/)
  queries[1]!.answer.resolve(found('2'))
  assert.ok(await second)
  const again = lookups.find('1')
  queries[2]!.answer.resolve(found('1'))
  assert.ok(await again)
  assert.deepEqual(asked(), [['1'], ['2'], ['1']])
})
