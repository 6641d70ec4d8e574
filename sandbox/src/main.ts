import { parseArgs } from 'node:util'
import { startSandbox } from './server.ts'
import type { Problem } from './service/problem-log.ts'

const USAGE = `node sandbox/src/main.ts [options]

  --port N        port for WebSocket and HTTP (7100; 0: a free one)
  --tls-port N    port for the same with TLS (0, a free one)
  --no-tls        plain only
  --host HOST     address to listen on (127.0.0.1)
  --seed TEXT     same seed, same Noise root (SANDBOX_SEED; random when absent)
  --people N      how many people to begin with (0)
  --state FILE    keep accounts, devices, keys and queues there across restarts
  --ca-file FILE  where to write the certificate authority that TLS clients must trust
  --help
`

const NAMES = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eve', 'Finn', 'Gus', 'Hana', 'Ivo', 'June']

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '7100' },
    'tls-port': { type: 'string', default: '0' },
    'no-tls': { type: 'boolean', default: false },
    host: { type: 'string', default: '127.0.0.1' },
    seed: { type: 'string' },
    people: { type: 'string', default: '0' },
    'ca-file': { type: 'string' },
    state: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  process.stdout.write(USAGE)
} else {
  await run()
}

async function run(): Promise<void> {
  const seed = values.seed ?? process.env.SANDBOX_SEED
  const caFile = values['ca-file']
  const sandbox = await startSandbox({
    host: values.host,
    port: number('port'),
    report: logProblem,
    ...(values['no-tls'] ? {} : { tlsPort: number('tls-port') }),
    ...(seed === undefined ? {} : { seed }),
    ...(caFile === undefined ? {} : { caFile }),
    ...(values.state === undefined ? {} : { stateFile: values.state }),
  })
  // People of an earlier run are counted, so that a restart adds nobody.
  const count = number('people')
  for (let index = sandbox.people.list().length; index < count; index += 1) {
    const round = Math.floor(index / NAMES.length)
    sandbox.people.add({ name: `${NAMES[index % NAMES.length]}${round === 0 ? '' : ` ${round + 1}`}` })
  }
  print({
    ready: true,
    ws: sandbox.ws,
    wss: sandbox.wss,
    http: sandbox.http,
    https: sandbox.https,
    noise_root: sandbox.noiseRoot.toString('hex'),
    ca_file: caFile,
    people: sandbox.people.list().map(({ account }) => ({ name: account.pushName, phone: account.pn })),
  })
  const stop = () => {
    sandbox[Symbol.asyncDispose]().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`)
        process.exit(1)
      },
    )
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

function number(name: 'port' | 'tls-port' | 'people'): number {
  const value = Number(values[name])
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value
  process.stderr.write(`--${name} must be a number from 0 to 65535\n${USAGE}`)
  return process.exit(2)
}

function logProblem(problem: Problem): void {
  print({ level: 'warn', ...problem })
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
