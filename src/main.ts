import { readFileSync } from 'node:fs'
import { startGateway } from './compose.ts'
import { ConfigError } from './config/config.ts'
import { loadConfig } from './config/load.ts'
import { systemClock } from './kernel/clock.ts'
import { isParleyError, messageOf } from './kernel/errors.ts'
import { createLogger } from './observability/logger.ts'

// A session keeps some small buffers for as long as it lives (its keys, what its socket has read), and each keeps all of the
// pool that it was cut from; Node's are of 64 KB. With pools of 1 KB a thousand sessions hold 15 MB less.
Buffer.poolSize = 1024

/** Stops the start with one line that says what to do. */
const refuse = (line: string): never => {
  process.stderr.write(`parley: ${line}\n`)
  process.exit(1)
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const load = () => {
  try {
    return loadConfig({ env: process.env })
  } catch (error) {
    if (error instanceof ConfigError) return refuse(error.message)
    throw error
  }
}

const { config, warnings, firstStart } = load()
const logger = createLogger({ level: config.observability.logLevel, format: config.observability.logFormat })
for (const warning of warnings) logger.warn({}, warning)
if (firstStart)
  process.stdout.write(
    `First start: secrets were generated into ${firstStart.secretsFile}.\nX-Admin-Secret: ${firstStart.adminSecretKey}\n`,
  )

let stop = async (code: number): Promise<void> => process.exit(code)

try {
  const gateway = await startGateway({
    config,
    logger,
    clock: systemClock,
    version,
    onFatal: (reason) => {
      logger.error({ reason: reason.message }, 'stopping')
      void stop(1)
    },
  })
  let stopping = false
  stop = async (code) => {
    if (stopping) return
    stopping = true
    try {
      await gateway[Symbol.asyncDispose]()
    } catch (error) {
      logger.error({ reason: messageOf(error) }, 'the stop was not clean')
    }
    logger[Symbol.dispose]()
    process.exit(code)
  }
  process.on('SIGTERM', () => void stop(0))
  process.on('SIGINT', () => void stop(0))
  const host = config.server.address === '0.0.0.0' ? 'localhost' : config.server.address
  process.stdout.write(`Parley ${version} listens on http://${host}:${gateway.port}${config.http.baseUrl}\n`)
} catch (error) {
  refuse(isParleyError(error) ? error.message : messageOf(error))
}
