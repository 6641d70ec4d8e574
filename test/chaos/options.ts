import { parseArgs } from 'node:util'

export const USAGE = `npm run chaos -- [options]

  --kills N           how often the gateway is killed (50)
  --seed S            the same seed, the same plan of kills and faults (random)
  --database KIND     sqlite or postgres (sqlite)
  --no-durability     commits become durable late: the run must find that out (SQLite only)
  --json              nothing but the line of figures on stdout
  --keep              keeps the folder with the database and the gateway's log
  --help
`

export interface Options {
  readonly kills: number
  readonly seed: string
  readonly database: 'sqlite' | 'postgres'
  readonly durability: boolean
  readonly json: boolean
  readonly keep: boolean
}

/** @throws RangeError with words for the user */
export const readOptions = (args: readonly string[]): Options | 'help' => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string', default: '50' },
      seed: { type: 'string' },
      database: { type: 'string', default: 'sqlite' },
      'no-durability': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const kills = Number(values.kills)
  if (!Number.isInteger(kills) || kills < 1 || kills > 10_000) throw new RangeError('--kills must be from 1 to 10000')
  const { database } = values
  if (database !== 'sqlite' && database !== 'postgres') throw new RangeError('--database must be sqlite or postgres')
  if (values['no-durability'] && database !== 'sqlite')
    throw new RangeError('--no-durability works on SQLite: there the preload module holds the commits back')
  return {
    kills,
    seed: values.seed ?? String(Math.floor(Math.random() * 1e9)),
    database,
    durability: !values['no-durability'],
    json: values.json,
    keep: values.keep,
  }
}
