import { Resolver as DnsResolver, lookup } from 'node:dns/promises'

/** All addresses of a host name, IPv4 first. Rejects when there are none or nobody answers. */
export type Resolver = (host: string) => Promise<readonly string[]>

// 2 tries of 2 s: within the 10 s that an attempt has.
const dns = new DnsResolver({ timeout: 2000, tries: 2 })

/**
 * Asks the DNS servers directly: getaddrinfo would occupy two of the four threads that the whole process has, so a few
 * dead names would stop every other delivery. Only a name that DNS says does not exist is looked up as the system does
 * (hosts file, search domains); that answer is quick.
 */
export const systemResolver: Resolver = async (host) => {
  const answers = await Promise.allSettled([dns.resolve4(host), dns.resolve6(host)])
  const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  if (addresses.length > 0) return addresses
  const reasons = answers.flatMap((answer) =>
    answer.status === 'rejected' ? [answer.reason as { code?: string }] : [],
  )
  if (!reasons.every(({ code }) => code === 'ENOTFOUND' || code === 'ENODATA'))
    throw reasons.find(({ code }) => code !== 'ENOTFOUND' && code !== 'ENODATA')
  return (await lookup(host, { all: true, order: 'ipv4first' })).map(({ address }) => address)
}
