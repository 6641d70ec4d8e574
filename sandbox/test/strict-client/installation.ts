// What a companion keeps between connections.
import { randomBytes, randomInt } from 'node:crypto'
import type { AppState } from './app-state.ts'
import { type KeyPair, newKeyPair, signWith, typed } from './curve.ts'
import { SignalBox } from './signal-box.ts'

export interface Account {
  /** `user:device@s.whatsapp.net`. */
  readonly jid: string
  /** `user:device@lid`. */
  readonly lid: string
  /** The phone's identity key: what everything about the account is signed with. */
  readonly key: Buffer
  /** Encoded ADVSignedDeviceIdentity with both signatures, as it goes beside a pkmsg. */
  readonly deviceIdentity: Buffer
}

export class Installation {
  readonly noise: KeyPair = newKeyPair()
  readonly identity: KeyPair = newKeyPair()
  readonly registrationId = randomInt(1, 16_381)
  readonly advSecret = randomBytes(32)
  readonly signedPreKey = this.#signPreKey(1)
  readonly signal = new SignalBox(this)
  readonly appStateKeys = new Map<string, Buffer>()
  readonly appState = new Map<string, AppState>()
  readonly name: string
  /** By which address others are written to. */
  readonly addressing: 'lid' | 'pn'
  serverStatic: Buffer | undefined
  account: Account | undefined
  /** Ids of pre-keys the service should still have, as far as this side knows: it learns of use by pkmsg. */
  nextPreKeyId = 1

  constructor(name: string, addressing: 'lid' | 'pn' = 'lid') {
    this.name = name
    this.addressing = addressing
  }

  get own(): Account {
    if (this.account === undefined) throw new Error(`${this.name} is not linked`)
    return this.account
  }

  #signPreKey(id: number) {
    const pair = newKeyPair()
    return { id, pair, signature: signWith(this.identity, typed(pair.public)) }
  }
}
