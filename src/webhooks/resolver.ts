import { Resolver as DnsResolver, lookup } from 'node:dns/promises'

/** All addresses of a host name, IPv4 first. Rejects when there are none or nobody answers. */
export type Resolver = (host: string) => Promise<readonly string[]>

export interface ResolverOptions {
  /** `ADDRESS:PORT` of DNS servers; those of the system unless said. */
  readonly servers?: readonly string[]
  /** Of one try. */
  readonly timeoutMs?: number
  /** Asked for what DNS does not know. */
  readonly system?: Resolver
}

/** As the system does: hosts file, search domains, then DNS. */
const askSystem: Resolver = async (host) =>
  (await lookup(host, { all: true, order: 'ipv4first' })).map(({ address }) => address)

/** Answers that came at once, so that asking the system as well costs nothing: no such name, no server to ask. */
const PROMPT = new Set(['ENOTFOUND', 'ENODATA', 'ECONNREFUSED'])

/**
 * Asks the DNS servers directly: getaddrinfo would occupy two of the four threads that the whole process has, so a few
 * dead names would stop every other delivery. The system is asked for names without a dot (this machine, a container's
 * neighbours) and for those that DNS does not know, which may stand in the hosts file.
 */
export const createResolver = (options: ResolverOptions = {}): Resolver => {
  const { servers, timeoutMs = 2_000, system = askSystem } = options
  // 2 tries of 2 s: within the 10 s that an attempt has.
  const dns = new DnsResolver({ timeout: timeoutMs, tries: 2 })
  if (servers) dns.setServers(servers)
  return (host) => resolveHost(host, dns, system)
}

export const systemResolver: Resolver = createResolver()

const resolveHost = async (host: string, dns: DnsResolver, system: Resolver): Promise<readonly string[]> => {
  if (!host.includes('.')) return system(host)
  const answers = await Promise.allSettled([dns.resolve4(host), dns.resolve6(host)])
  const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  if (addresses.length > 0) return addresses
  const slow = answers.find(
    (answer) => answer.status === 'rejected' && !PROMPT.has(String((answer.reason as { code?: unknown }).code)),
  )
  if (slow?.status === 'rejected') throw slow.reason
  return system(host)
}
