/** Response headers as flat name, value pairs: what `writeHead` takes without further work. */
export type HeaderPairs = readonly string[]

const METHODS = 'GET, POST, PUT, PATCH, DELETE'
const REQUEST_HEADERS =
  'Origin, Content-Type, Accept, Authorization, X-API-Key, X-Admin-Secret, X-Request-ID, Idempotency-Key'
const EXPOSED = ['access-control-expose-headers', 'X-Request-ID, Retry-After']

/** Cross-origin rules (Fetch standard, CORS protocol) without credentials: no cookie is ever used. */
export class Cors {
  readonly #origins: ReadonlySet<string>
  readonly #any: boolean

  constructor(origins: readonly string[]) {
    this.#origins = new Set(origins.map((origin) => origin.toLowerCase()))
    this.#any = this.#origins.has('*')
  }

  /** Headers that every reply carries whoever asks, so that they can be made once. */
  get fixed(): HeaderPairs {
    if (this.#any) return ['access-control-allow-origin', '*', ...EXPOSED]
    return this.#origins.size === 0 ? [] : ['vary', 'Origin']
  }

  /** Headers that depend on the caller's `Origin`. */
  headersFor(origin: string | undefined): HeaderPairs {
    if (this.#any || origin === undefined || !this.#origins.has(origin.toLowerCase())) return []
    return ['access-control-allow-origin', origin, ...EXPOSED]
  }

  /** Further headers of the answer to a preflight. */
  get preflight(): HeaderPairs {
    return [
      'access-control-allow-methods',
      METHODS,
      'access-control-allow-headers',
      REQUEST_HEADERS,
      'access-control-max-age',
      '7200',
    ]
  }
}
