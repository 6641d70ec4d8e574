/**
 * `npm run chaos`: kills the gateway again and again while people talk through it, and compares what was said with what
 * arrived, at both ends. Everything runs on this machine: a gateway (the built one), a simulated WhatsApp, a webhook
 * receiver. The last line is one line of JSON; docs/guide/chaos.md says what its figures mean.
 */
import { runChaos } from './chaos.ts'
import { type Options, readOptions, USAGE } from './options.ts'
import { describe, figuresOf, passed } from './report.ts'

const read = (): Options | undefined => {
  try {
    const options = readOptions(process.argv.slice(2))
    if (options !== 'help') return options
    process.stdout.write(USAGE)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
    process.exitCode = 2
  }
  return undefined
}

const options = read()
if (options) {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)))
  const say = (line: string) => void (options.json ? process.stderr : process.stdout).write(`${line}\n`)
  try {
    const report = await runChaos(options, say, stopping.signal)
    for (const line of describe(report)) say(line)
    process.stdout.write(`${JSON.stringify(figuresOf(report))}\n`)
    process.exitCode = passed(report) ? 0 : 1
  } catch (error) {
    process.stderr.write(
      `the run itself failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    process.exitCode = 2
  }
}
