import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Running, startProgram } from './process.ts'
import type { RunningSandbox } from './sandbox.ts'

const root = join(import.meta.dirname, '..', '..')
const built = join(root, 'dist', 'main.js')

/** The gateway in its embedded mode, with its data below `home`, talking to a sandbox. */
export interface RunningGateway extends AsyncDisposable {
  readonly program: Running
  readonly url: string
  readonly adminSecret: string
}

export interface StartGateway {
  /** Working directory: the database and the generated secrets come to lie in `data` below it. */
  readonly home: string
  readonly sandbox: Pick<RunningSandbox, 'ws' | 'noiseRoot'> & { readonly https?: string | undefined }
  /** More settings; they win. */
  readonly env?: Readonly<Record<string, string>>
  readonly onLine?: (line: string) => void
}

/** What lets receivers on this machine be reached, and a test not wait for simulated typing. */
const LOCAL = {
  SERVER_ADDRESS: '127.0.0.1',
  SERVER_PORT: '0',
  WEBHOOK_ALLOW_HTTP: 'true',
  WEBHOOK_ALLOWED_NETWORKS: '127.0.0.0/8',
  WHATSAPP_AUTO_PRESENCE_ENABLED: 'false',
  WHATSAPP_STARTUP_RECONNECT_JITTER_MAX: '0ms',
}

export const startGatewayProcess = async ({
  home,
  sandbox,
  env = {},
  onLine,
}: StartGateway): Promise<RunningGateway> => {
  mkdirSync(home, { recursive: true })
  const program = await startProgram({
    module: existsSync(built) ? built : join(root, 'src', 'main.ts'),
    cwd: home,
    env: {
      ...LOCAL,
      WHATSAPP_WEB_URL: sandbox.ws,
      WHATSAPP_NOISE_ROOT: sandbox.noiseRoot,
      // files go over TLS always; the sandbox has made its certificate itself
      ...(sandbox.https ? { WHATSAPP_MEDIA_ORIGIN: sandbox.https, WHATSAPP_TLS_INSECURE: 'true' } : {}),
      ...env,
    },
    isReady: (line) => line.startsWith('Parley ') && line.includes(' listens on '),
    ...(onLine ? { onLine } : {}),
  })
  return {
    program,
    url: program.readyLine.split(' listens on ')[1]!,
    adminSecret: env.ADMIN_SECRET_KEY ?? readAdminSecret(home),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

const readAdminSecret = (home: string): string =>
  (JSON.parse(readFileSync(join(home, 'data', 'secrets.json'), 'utf8')) as { adminSecretKey: string }).adminSecretKey
