import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { proto } from 'baileys'
import { decodeKey, encodeKey } from './key-codec.ts'

test('an app state key is the same after storing: its bytes are bytes', () => {
  const keyData = randomBytes(32)
  const key = proto.Message.AppStateSyncKeyData.decode(
    proto.Message.AppStateSyncKeyData.encode({ keyData, timestamp: 1_795_338_000_000 }).finish(),
  )
  const back = decodeKey('app-state-sync-key', encodeKey('app-state-sync-key', key))
  assert.ok(back.keyData instanceof Uint8Array)
  assert.deepEqual(Buffer.from(back.keyData), keyData)
})
