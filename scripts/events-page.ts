import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DECLARED } from '../src/events/catalogue/declared.ts'
import { EVENTS } from '../src/events/catalogue.ts'
import { webhookBodyExample } from '../src/events/envelope.ts'
import type { EventDefinition } from '../src/events/event.ts'

/** As much of a JSON schema as the page shows. */
interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly format?: string
  readonly description?: string
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
}

const INTRO = `# Events

<!-- Written by \`npm run docs\` from src/events/catalogue. Do not edit. -->

An event is posted to every webhook that wants it, as JSON with the fields of this example; \`data\` differs by event. Delivery is at least once: recognise repetitions by \`id\`. \`sequence\` counts per device, from 1, without gaps in the log. Ignore fields you do not know: fields are added, never changed.
The examples are what a receiver got in a recorded run of the end-to-end tests, against the simulated service.
A subscription lists names, \`area.*\` or \`*\`; an empty list means all.
`

/** `docs/reference/events.md` */
export const renderEventsPage = (): string => {
  const envelope = block(exampleOf(EVENTS[0]!))
  const categories = [...new Set(EVENTS.map(({ category }) => category))]
  const sections = categories.map((category) => {
    const events = EVENTS.filter((event) => event.category === category)
    return [`## ${category}`, ...events.map(renderEvent)].join('\n\n')
  })
  return `${[INTRO.trimEnd(), envelope, ...sections, renderDeclared()].join('\n\n')}\n`
}

/** As a receiver got it in a recorded run (test/support/e2e/examples.ts); made up where none has been recorded yet. */
const exampleOf = (definition: EventDefinition): unknown => {
  const path = join(import.meta.dirname, '../test/fixtures/events', `${definition.name}.json`)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : webhookBodyExample(definition)
}

const block = (value: unknown): string => `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``

const renderEvent = (definition: EventDefinition): string => {
  const { name, description, payload } = definition
  const rows = listFields(payload as Schema).map(
    ([path, schema, isOptional]) =>
      `| \`${path}\` | ${typeOf(schema)}${isOptional ? ', optional' : ''} | ${cell(descriptionOf(schema))} |`,
  )
  return [
    `### \`${name}\``,
    description,
    ['| field of `data` | type | meaning |', '|---|---|---|', ...rows].join('\n'),
    block(exampleOf(definition)),
  ].join('\n\n')
}

const listFields = (
  { properties = {}, required = [] }: Schema,
  prefix = '',
): readonly (readonly [string, Schema, boolean])[] =>
  Object.entries(properties).flatMap(([name, schema]) => {
    const path = `${prefix}${name}`
    const inner = innerObject(schema)
    const own = [path, schema, !required.includes(name)] as const
    return inner ? [own, ...listFields(inner, schema.items ? `${path}[].` : `${path}.`)] : [own]
  })

const innerObject = (schema: Schema): Schema | undefined =>
  schema.properties
    ? schema
    : schema.items
      ? innerObject(schema.items)
      : schema.anyOf?.map(innerObject).find((inner) => inner)

const descriptionOf = (schema: Schema): string =>
  schema.description ?? schema.anyOf?.map(descriptionOf).find((text) => text !== '') ?? ''

const typeOf = (schema: Schema): string => {
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(' or ')
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(' or ')
  if (schema.type === 'array') return `array of ${schema.items ? typeOf(schema.items) : 'anything'}`
  return schema.format ? `${schema.type} (${schema.format})` : (schema.type ?? 'anything')
}

const renderDeclared = (): string => {
  const rows = Object.entries(DECLARED).map(
    ([area, names]) => `| ${area} | ${names.map((name) => `\`${name}\``).join(', ')} |`,
  )
  return `## Announced

These names can be subscribed to already; this version does not send them yet.

| area | events |
|---|---|
${rows.join('\n')}`
}

const cell = (text: string): string => text.replaceAll('|', '\\|')
