import { join } from 'node:path'
import { type Running, startProgram } from './process.ts'

/** A simulated WhatsApp that runs. */
export interface RunningSandbox extends AsyncDisposable {
  readonly program: Running
  /** WebSocket address for `WHATSAPP_WEB_URL`. */
  readonly ws: string
  readonly http: string
  /** With `--tls-port` only; also for `WHATSAPP_MEDIA_ORIGIN`. */
  readonly https: string | undefined
  /** Hex, for `WHATSAPP_NOISE_ROOT`. */
  readonly noiseRoot: string
  readonly people: readonly { readonly name: string; readonly phone: string }[]
  /** A call of its control API. @throws with the answer's words on anything but 2xx */
  call<T>(method: string, path: string, body?: unknown): Promise<T>
}

const root = join(import.meta.dirname, '..', '..')

export const startSandboxProcess = async (args: readonly string[] = ['--port', '0']): Promise<RunningSandbox> => {
  const program = await startProgram({
    module: join(root, 'sandbox', 'src', 'main.ts'),
    args: args.includes('--tls-port') ? args : ['--no-tls', ...args],
    cwd: root,
    env: {},
    isReady: (line) => line.startsWith('{') && line.includes('"ready":true'),
  })
  const facts = JSON.parse(program.readyLine) as {
    ws: string
    http: string
    https?: string
    noise_root: string
    people: { name: string; phone: string }[]
  }
  return {
    program,
    ws: facts.ws,
    http: facts.http,
    https: facts.https,
    noiseRoot: facts.noise_root,
    people: facts.people,
    call: <T>(method: string, path: string, body?: unknown) => callSandbox<T>(facts.http, method, path, body),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

const callSandbox = async <T>(base: string, method: string, path: string, body: unknown): Promise<T> => {
  const response = await fetch(`${base}${path}`, {
    method,
    // a kept connection may be closed by the sandbox while we are busy, under the next call
    headers: { 'content-type': 'application/json', connection: 'close' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const answer = await response.text()
  if (!response.ok) throw new Error(`sandbox ${method} ${path} answered ${response.status}: ${answer}`)
  return (answer === '' ? undefined : JSON.parse(answer)) as T
}
