import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import pg from 'pg'
import { newUuid } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/logger.ts'
import type { Storage } from '../../src/storage/index.ts'
import { wrappingKeys } from '../../src/storage/keyring.ts'
import { type OpenStorage, openStorage } from '../../src/storage/open.ts'
import { FakeClock } from './fake-clock.ts'
import { createTestDatabase, stopTestServer } from './postgres.ts'

/** A fresh database of one kind, with a storage that owns it. */
export class TestDatabase {
  readonly kind: 'sqlite' | 'postgres'
  readonly clock = new FakeClock(1_700_000_000_000)
  uri = ''
  storage!: Storage
  readonly #folder = mkdtempSync(join(tmpdir(), 'parley-storage-'))
  #drop = async (): Promise<void> => undefined

  constructor(kind: 'sqlite' | 'postgres') {
    this.kind = kind
  }

  async create(): Promise<void> {
    if (this.kind === 'sqlite') this.uri = `sqlite:${join(this.#folder, 'data', 'parley.sqlite')}`
    else {
      const { url, drop } = await createTestDatabase()
      this.uri = url
      this.#drop = drop
    }
    this.storage = await this.open()
  }

  /** Another storage on the same database; the caller closes it. */
  open(overrides: Partial<OpenStorage> = {}): Promise<Storage> {
    return openStorage({
      uri: this.uri,
      secret: wrappingKeys({ jwtSecretKey: 'a secret of the tests' }),
      clock: this.clock,
      logger: silentLogger,
      own: true,
      ...overrides,
    })
  }

  /** Closes and opens again, as a restart does. */
  async restart(overrides: Partial<OpenStorage> = {}): Promise<void> {
    await this.storage[Symbol.asyncDispose]()
    this.storage = await this.open(overrides)
  }

  /** Plain SQL over a connection of its own, behind the storage's back. */
  async execute(text: string): Promise<Record<string, unknown>[]> {
    if (this.kind === 'sqlite') {
      const connection = new BetterSqlite3(this.uri.slice('sqlite:'.length), { timeout: 2000 })
      try {
        const statement = connection.prepare(text)
        if (statement.reader) return statement.all() as Record<string, unknown>[]
        statement.run()
        return []
      } finally {
        connection.close()
      }
    }
    const client = new pg.Client(this.uri)
    await client.connect()
    try {
      return (await client.query(text)).rows
    } finally {
      await client.end()
    }
  }

  async destroy(): Promise<void> {
    await this.storage?.[Symbol.asyncDispose]()
    await this.#drop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** A device with a key of its own. */
  async addDevice(deviceId = newUuid()): Promise<string> {
    const key = await this.storage.apiKeys.create({ ...sampleKey(), maxDevices: 1 }, this.clock.now())
    const made = await this.storage.devices.create(
      { deviceId, apiKeyId: key.id, deviceName: 'test', secretHash: 'hash' },
      this.clock.now(),
    )
    if (typeof made === 'string') throw new Error(made)
    return deviceId
  }
}

export const sampleKey = () => ({
  keyHash: newUuid(),
  maskedKey: 'wam_abcd...1234',
  customerName: 'Ada',
  customerEmail: 'ada@example.com',
  customerPhone: '4915112345678',
  maxDevices: 5,
  rateLimitPerHour: 1000,
})

/** Defines the same tests for SQLite and for PostgreSQL, each on a fresh database. */
export const onEachDatabase = (define: (database: TestDatabase) => void): void => {
  for (const kind of ['sqlite', 'postgres'] as const) {
    describe(kind, () => {
      const database = new TestDatabase(kind)
      before(() => database.create())
      after(() => database.destroy())
      define(database)
    })
  }
  // Ends the server that this file started when nobody shared one.
  after(stopTestServer)
}
