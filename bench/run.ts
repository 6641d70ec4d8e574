import { readdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Bench } from './lib/bench.ts'
import { judge } from './lib/bench.ts'

/** `npm run bench -- NAME [--json]` runs one bench (`soak` takes `--minutes N`); without a name the benches are listed. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, minutes: { type: 'string' } },
})

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))
  .sort()

const [name] = positionals
if (name === undefined) {
  for (const each of names) process.stdout.write(`${each}\n`)
} else if (!names.includes(name)) {
  process.stderr.write(`there is no bench "${name}"; there are: ${names.join(', ')}\n`)
  process.exitCode = 2
} else {
  const { bench } = (await import(`./${name}.bench.ts`)) as { bench: Bench }
  const say = values.json ? () => undefined : (line: string) => void process.stderr.write(`${line}\n`)
  const figures = await bench.run(say, values.minutes === undefined ? {} : { minutes: Number(values.minutes) })
  const result = judge(name, figures, bench.budget)
  process.stdout.write(`${JSON.stringify(result)}\n`)
  process.exitCode = result.ok ? 0 : 1
}
