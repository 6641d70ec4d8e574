import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { ParleyError } from '../kernel/errors.ts'
import { type Resolver, systemResolver } from './resolver.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** The connection was refused by us: the name leads where no webhook may go. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused'
}

/** 2000::/3 is all that is given out as global unicast; `::a.b.c.d` and the like lie outside. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')

/** Public by their range, yet the platform's own: Azure's wire server answers every machine there. */
const PLATFORM = new Set(['168.63.129.16'])

/** Names of cloud metadata services. Their addresses are refused in any case; this tells the caller at once. */
const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
])

/** Ports of other services that a POST could talk into something: https://fetch.spec.whatwg.org/#port-blocking, in short. */
const OTHER_SERVICES = new Set([
  7, 9, 11, 13, 17, 19, 20, 21, 22, 23, 25, 37, 53, 69, 77, 79, 87, 95, 110, 111, 113, 119, 123, 135, 137, 139, 143,
  161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
  993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679,
  6697, 10080, 11211,
])

const MAX_URL_LENGTH = 2048

export interface AddressGuardOptions {
  readonly allowHttp: boolean
  /** CIDR blocks, addresses, host names and `*.suffix`: what is inside may have any address. */
  readonly allowedNetworks: readonly string[]
  readonly resolver?: Resolver
}

/**
 * Decides where a URL that a user gave may lead. The word of a name counts for nothing: `resolve` answers the addresses
 * that were checked, and whoever connects dials one of those and never resolves again (DNS rebinding).
 */
export class AddressGuard {
  readonly #allowHttp: boolean
  readonly #networks: readonly [Address, number][]
  readonly #hosts = new Set<string>()
  readonly #suffixes: readonly string[]
  readonly #resolver: Resolver

  /** @throws Error when an allowed network cannot be read */
  constructor({ allowHttp, allowedNetworks, resolver = systemResolver }: AddressGuardOptions) {
    this.#allowHttp = allowHttp
    this.#resolver = resolver
    const networks: [Address, number][] = []
    const suffixes: string[] = []
    for (const entry of allowedNetworks) {
      if (entry.includes('/')) networks.push(ipaddr.parseCIDR(entry))
      else if (isIP(entry)) networks.push([ipaddr.parse(entry), isIP(entry) === 4 ? 32 : 128])
      else if (entry.startsWith('*.')) suffixes.push(normalHost(entry.slice(1)))
      else this.#hosts.add(normalHost(entry))
    }
    this.#networks = networks
    this.#suffixes = suffixes
  }

  /**
   * Reads a URL and checks what can be known without asking anybody: scheme, port, no credentials, literal addresses.
   * @throws bad_request naming `field`
   */
  checkUrl(text: string, field: string): URL {
    const refuse = (why: string) => new ParleyError('bad_request', `${field}: ${why}`, { field })
    if (text.length > MAX_URL_LENGTH) throw refuse(`must not be longer than ${MAX_URL_LENGTH} characters`)
    if (!URL.canParse(text)) throw refuse('is not a URL')
    const url = new URL(text)
    if (url.protocol === 'http:' && !this.#allowHttp)
      throw refuse('must use https (http only where WEBHOOK_ALLOW_HTTP permits it)')
    if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse('must use https')
    if (url.username !== '' || url.password !== '') throw refuse('must not contain credentials; use a custom header')
    if (url.port !== '' && (OTHER_SERVICES.has(Number(url.port)) || url.port === '0'))
      throw refuse(`port ${url.port} belongs to another kind of service`)
    const host = hostOf(url)
    if (host === '') throw refuse('has no host')
    if (isIP(host) ? !this.allows(host) : this.#isLocalName(host))
      throw refuse('leads to an address that webhooks may not reach')
    return url
  }

  /** Whether this very address may be dialled. */
  allows(address: string): boolean {
    if (!ipaddr.isValid(address)) return false
    const parsed = ipaddr.parse(address)
    if (
      this.#networks.some(([network, bits]) => parsed.kind() === network.kind() && matchesBlock(parsed, network, bits))
    )
      return true
    // Everything else is refused by default: private, loopback, link-local, CGNAT, multicast, reserved, and IPv6
    // forms that carry an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo), whatever they carry.
    if (parsed.range() !== 'unicast' || PLATFORM.has(address)) return false
    return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_UNICAST)
  }

  /**
   * The addresses behind the host of a URL, each of them allowed. One bad answer spoils all: a name that leads inside
   * even some of the time is not to be trusted the rest of it.
   * @throws AddressRefused, or the resolver's error
   */
  async resolve(hostname: string): Promise<readonly string[]> {
    const host = normalHost(hostname.replace(/^\[|\]$/g, ''))
    if (isIP(host)) {
      if (this.allows(host) || this.#isAllowedHost(host)) return [host]
      throw new AddressRefused(`${host} is an address that webhooks may not reach`)
    }
    const addresses = await this.#resolver(host)
    if (addresses.length === 0) throw new AddressRefused(`${host} has no address`)
    if (!this.#isAllowedHost(host)) {
      const bad = addresses.find((address) => !this.allows(address))
      if (bad !== undefined) throw new AddressRefused(`${host} leads to an address that webhooks may not reach`)
    }
    return addresses
  }

  #isAllowedHost(host: string): boolean {
    return this.#hosts.has(host) || this.#suffixes.some((suffix) => host.endsWith(suffix))
  }

  /** Names that mean this machine or the platform's, unless the operator allows them. */
  #isLocalName(host: string): boolean {
    if (this.#isAllowedHost(host)) return false
    if (host === 'localhost' || host.endsWith('.localhost')) return !this.allows('127.0.0.1') && !this.allows('::1')
    return METADATA_NAMES.has(host)
  }
}

/** Lower case, without the root's dot and without the brackets of IPv6. */
const hostOf = (url: URL): string => normalHost(url.hostname.replace(/^\[|\]$/g, ''))
const normalHost = (host: string): string => host.toLowerCase().replace(/\.$/, '')

const matchesBlock = (address: Address, network: Address, bits: number): boolean =>
  address instanceof ipaddr.IPv4
    ? address.match(network as ipaddr.IPv4, bits)
    : address.match(network as ipaddr.IPv6, bits)
