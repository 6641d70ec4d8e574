import { isDeepStrictEqual } from 'node:util'
import type { TSchema } from 'typebox'

export type Json = { [key: string]: unknown }

/** TypeBox keeps its marks in non-enumerable properties: going through text leaves the JSON Schema alone. */
const toJson = (schema: TSchema): Json => JSON.parse(JSON.stringify(schema)) as Json

/** Collects schemas as named components: one that has a `title` stands under it, wherever it occurs. */
export class Schemas {
  readonly #named = new Map<string, Json>()

  /** A reference to the schema, under its own title or else the given name; a list stays in place around its items. */
  use(schema: TSchema, name: string): Json {
    const { title, ...own } = toJson(schema)
    const lifted = this.#lift(own) as Json
    return lifted.type === 'object' ? this.#add(typeof title === 'string' ? title : name, lifted) : lifted
  }

  /** The schema itself, with only the titled parts inside it replaced by references. */
  plain(schema: TSchema): Json {
    const { title: _, ...own } = toJson(schema)
    return this.#lift(own) as Json
  }

  components(): Record<string, Json> {
    return Object.fromEntries([...this.#named].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  #lift(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#lift(item))
    if (typeof value !== 'object' || value === null) return value
    const entries = Object.entries(value).map(([key, item]) => [key, this.#lift(item)] as const)
    const { title, ...rest } = Object.fromEntries(entries) as Json
    if (typeof title !== 'string' || rest.type !== 'object') return Object.fromEntries(entries)
    return this.#add(title, rest)
  }

  #add(name: string, schema: Json): Json {
    const known = this.#named.get(name)
    if (known && !isDeepStrictEqual(known, schema)) throw new Error(`two schemas are called ${name}`)
    this.#named.set(name, schema)
    return { $ref: `#/components/schemas/${name}` }
  }
}
