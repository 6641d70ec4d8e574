import { readdir, readFile } from 'node:fs/promises'
import { ParleyError } from '../kernel/errors.ts'

/** One numbered SQL file, `NNN-name.sql`. */
export interface Migration {
  readonly version: number
  readonly name: string
  readonly text: string
}

/** The migrations of a database kind, in order. They lie beside this file, in `src/` and in `dist/` alike. */
export const loadMigrations = async (kind: 'sqlite' | 'postgres'): Promise<readonly Migration[]> => {
  const folder = new URL(`./migrations/${kind}/`, import.meta.url)
  const files = (await readdir(folder)).filter((file) => /^\d{3}-[a-z0-9-]+\.sql$/.test(file)).sort()
  return Promise.all(
    files.map(async (file) => ({
      version: Number(file.slice(0, 3)),
      name: file.slice(4, -4),
      text: await readFile(new URL(file, folder), 'utf8'),
    })),
  )
}

/** Those still to be applied. @throws conflict when the database is newer than the code */
export const pendingMigrations = (
  migrations: readonly Migration[],
  applied: number,
  label: string,
): readonly Migration[] => {
  const newest = migrations.at(-1)?.version ?? 0
  if (applied > newest)
    throw new ParleyError(
      'conflict',
      `the database ${label} was set up by a newer version of Parley (its schema is ${applied}, this version knows ${newest}): start that version`,
    )
  return migrations.filter((migration) => migration.version > applied)
}
