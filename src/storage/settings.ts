import { type Database, query, sql } from './database.ts'
import type { SettingRepository } from './port/accounts.ts'

const read = sql('settings_get', 'select value from settings where name = ?')
const write = sql(
  'settings_put',
  'insert into settings (name, value) values (?, ?) on conflict (name) do update set value = excluded.value',
)

export const createSettings = (database: Database): SettingRepository => ({
  async get(name) {
    const [row] = await database.read<{ value: string }>(read, name)
    return row?.value
  },
  async set(name, value) {
    await database.write(() => query(write, name, value))
  },
})
