import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import type { Cast } from './cast.ts'
import { type Lane, Ledger, type Said } from './ledger.ts'
import type { Differences } from './log-verdict.ts'
import type { ChaosReceiver } from './receiver.ts'
import type { Wire, WireEntry } from './sandbox-feeds.ts'
import { type Findings, judge } from './verdict.ts'

// Ada has two devices, Ben has one phone and nothing else.
const cast = {
  people: new Map(['Ada', 'Ben'].map((name) => [name, { name, phone: name }])),
  devices: [
    { name: 'a1', owner: 'Ada', jid: 'ada:1' },
    { name: 'a2', owner: 'Ada', jid: 'ada:2' },
  ],
} as unknown as Cast
const lane: Lane = { name: 'a1 to Ben', chat: { name: 'both', members: ['Ada', 'Ben'] }, by: 'api', sender: 'a1' }

let ledger: Ledger
let entries: WireEntry[]
let differences: Differences
beforeEach(() => {
  ledger = new Ledger()
  entries = []
  differences = { lost: [], duplicated: [], outOfOrder: [] }
})

const say = (fate: Said['fate'], messageId?: string): Said => Object.assign(ledger.say(lane), { fate, messageId })
const atPhone = (name: string, { text }: Said, messageId: string) =>
  ledger.arrive(ledger.onPhones, name, { text, messageId, identity: messageId, chat: 'c' })
const atDevice = (name: string, { text }: Said, messageId: string, event = `${name} ${messageId}`) =>
  ledger.arrive(ledger.onDevices, name, { text, messageId, identity: event, chat: 'c' })
const everywhere = (said: Said, messageId: string) => {
  atPhone('Ada', said, messageId)
  atPhone('Ben', said, messageId)
  atDevice('a2', said, messageId)
  entries.push(wire('out', 'ada:2', messageId))
}
const wire = (direction: 'in' | 'out', device: string, id: string): WireEntry => ({
  seq: entries.length + 1,
  device,
  connection: 1,
  direction,
  tag: 'message',
  id,
  again: false,
  type: null,
})
const verdict = (undecryptable: string[] = []): Findings =>
  judge({
    cast,
    ledger,
    receiver: {
      undecryptable: new Set(undecryptable),
      statuses: new Map([['a1 M1', ['server_ack']]]),
    } as unknown as ChaosReceiver,
    wire: { entries } as unknown as Wire,
    unopened: [],
    repaired: [],
    differences,
    deadLetters: [],
  })
const counts = ({ sent, received, lost, duplicated, outOfOrder }: Findings) => [
  sent,
  received,
  lost.length,
  duplicated.length,
  outOfOrder.length,
]

test('a text belongs on every phone and every other device of its chat, once', () => {
  everywhere(say('accepted', 'M1'), 'M1')
  everywhere(say('accepted', 'M2'), 'M2')
  assert.deepEqual(counts(verdict()), [2, 6, 0, 0, 0])
})

test('what was accepted and is missing somewhere is lost there', () => {
  atPhone('Ben', say('accepted', 'M1'), 'M1')
  assert.deepEqual(counts(verdict()), [1, 1, 2, 0, 0])
})

test('a text whose caller was cut off counts only when it shows up, and then everywhere', () => {
  say('unknown')
  assert.deepEqual(counts(verdict()), [0, 0, 0, 0, 0])
  atPhone('Ben', say('unknown'), 'M2')
  assert.deepEqual(counts(verdict()), [1, 1, 2, 0, 0])
})

test('a refused text that arrives is told of', () => {
  const said = say('refused')
  everywhere(said, 'M1')
  assert.equal(verdict().ghosts.length, 1)
})

test('two ids for one text, two events for one message, another id than the sender was told: doubled', () => {
  const first = say('accepted', 'M1')
  everywhere(first, 'M1')
  atPhone('Ben', first, 'M1b')
  assert.equal(verdict().duplicated.length, 1)
  atDevice('a2', first, 'M1', 'another event')
  assert.equal(verdict().duplicated.length, 2)
  everywhere(say('accepted', 'M2'), 'OTHER')
  assert.equal(verdict().duplicated.length, 5)
})

test('the same id again on the wire is counted as resent', () => {
  everywhere(say('accepted', 'M1'), 'M1')
  entries.push(wire('in', 'ada:1', 'M1'), wire('in', 'ada:1', 'M1'), wire('in', 'ada:2', 'M1'))
  const findings = verdict()
  assert.deepEqual([findings.resent, findings.duplicated.length], [1, 0])
})

test('order is by first arrival, at phones and at devices', () => {
  const [first, second] = [say('accepted', 'M1'), say('accepted', 'M2')]
  entries.push(wire('out', 'ada:2', 'M1'))
  everywhere(second, 'M2')
  everywhere(first, 'M1')
  assert.deepEqual(counts(verdict()), [2, 6, 0, 0, 3])
})

test('an accepted text without a status is told of', () => {
  say('accepted', 'M1')
  say('accepted', 'M2')
  assert.deepEqual(verdict().untold, ['"a1 to Ben 2"'])
})

test('each message that could not be opened counts', () => {
  assert.equal(verdict(['e1', 'e2']).undecryptable.length, 2)
})

test('where a reader parts from the log, that counts with the rest', () => {
  everywhere(say('accepted', 'M1'), 'M1')
  differences = { lost: ['x'], duplicated: ['y'], outOfOrder: ['z'] }
  assert.deepEqual(counts(verdict()), [1, 3, 1, 1, 1])
})
