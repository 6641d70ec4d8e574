import { EVENTS } from './catalogue.ts'
import { webhookBodyExample, webhookBodySchema } from './envelope.ts'

/** Every event with a schema as receivers get it: for the `webhooks` section of the OpenAPI document. */
export const describedEvents = () =>
  EVENTS.map((definition) => ({
    name: definition.name,
    category: definition.category,
    description: definition.description,
    schema: webhookBodySchema(definition),
    example: webhookBodyExample(definition),
  }))
