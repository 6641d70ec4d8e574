import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { IntakeIds } from '../../../src/storage/index.ts'
import { onEachDatabase } from '../../support/postgres-and-sqlite.ts'

const pn = fc.option(fc.constantFrom('491@s.whatsapp.net', '492@s.whatsapp.net', '493@s.whatsapp.net'), {
  nil: undefined,
})
const lid = fc.option(fc.constantFrom('11@lid', '12@lid', '13@lid'), { nil: undefined })
const stanza = fc
  .record({ pn, lid, messageId: fc.constantFrom('A', 'B', 'C'), readable: fc.boolean(), inGroup: fc.boolean() })
  .filter((one) => one.pn !== undefined || one.lid !== undefined)

onEachDatabase((database) => {
  test('whatever order people appear in: aliases lead to the living, no message is lost, doubled or left behind', async () => {
    const { storage } = database
    await fc.assert(
      fc.asyncProperty(fc.array(stanza, { minLength: 3, maxLength: 14 }), async (stanzas) => {
        const deviceId = await database.addDevice()
        const rowsOf = (table: string) => database.execute(`select * from ${table} where device_id = '${deviceId}'`)
        const answers: IntakeIds[] = []
        for (const [index, one] of stanzas.entries()) {
          const sender = (one.lid ?? one.pn)!
          const chat = one.inGroup ? '1@g.us' : sender
          const party = { pn: one.pn, lid: one.lid }
          await storage.intake.commit(deviceId, {
            key: String(index),
            chat,
            chatParty: one.inGroup ? undefined : party,
            senderParty: party,
            message: {
              chat,
              messageId: one.messageId,
              sender,
              fromMe: false,
              type: one.readable ? 'text' : 'undecryptable',
              text: one.readable ? 'text' : undefined,
              quotedMessageId: undefined,
              pushName: undefined,
              timestamp: 1,
              state: 'received',
              failureCode: undefined,
              content: undefined,
            },
            events: (ids) => {
              answers.push(ids)
              return []
            },
          })
        }
        const [contacts, conversations, messages] = await Promise.all(
          ['contacts', 'conversations', 'messages'].map(rowsOf),
        )
        const living = (rows: Record<string, unknown>[] | undefined, key: string) =>
          new Map(rows!.filter((row) => row.alias_of === null).map((row) => [row[key], row]))
        const people = living(contacts, 'contact_id')
        const chats = living(conversations, 'conversation_id')

        for (const row of [...contacts!]) if (row.alias_of !== null) assert.ok(people.has(row.alias_of))
        for (const row of [...conversations!]) if (row.alias_of !== null) assert.ok(chats.has(row.alias_of))
        for (const row of chats.values()) if (row.contact_id !== null) assert.ok(people.has(row.contact_id))
        for (const row of messages!) assert.ok(chats.has(row.conversation_id), 'a message stays in an alias')
        // Ids that were told to consumers are known for ever.
        for (const { conversationId, senderParty } of answers) {
          assert.ok(conversations!.some((row) => row.conversation_id === conversationId))
          assert.ok(contacts!.some((row) => row.contact_id === senderParty?.contactId))
        }
        const inPerson = messages!.filter((row) => chats.get(row.conversation_id)?.contact_id !== null)
        const identities = inPerson.map((row) => `${row.conversation_id} ${row.message_id}`)
        assert.equal(new Set(identities).size, identities.length, 'a message is there twice')
        // Each stanza's message is in the conversation that its own answer named, or in what that became.
        for (const [index, { conversationId }] of answers.entries()) {
          const told = conversations!.find((row) => row.conversation_id === conversationId)!
          const now = told.alias_of ?? conversationId
          const stored = messages!.filter(
            (row) => row.conversation_id === now && row.message_id === stanzas[index]!.messageId,
          )
          assert.ok(stored.length > 0, 'a message is lost')
          if (stanzas[index]!.readable && !stanzas[index]!.inGroup) assert.equal(stored[0]!.type, 'text', 'not healed')
        }
      }),
      { numRuns: 25 },
    )
  })
})
