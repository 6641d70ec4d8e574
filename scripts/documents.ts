import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderConfigurationPage, renderEnvExample } from '../src/config/documents.ts'
import { describedEvents } from '../src/events/openapi.ts'
import { describedRoutes } from '../src/features/all-routes.ts'
import { buildOpenApi } from '../src/http/openapi.ts'
import { renderEventsPage } from './events-page.ts'

/** Every generated document: its path from the root, and what it should say. */
export const renderDocuments = (): ReadonlyMap<string, string> =>
  new Map([
    ['.env.example', renderEnvExample()],
    ['docs/reference/configuration.md', renderConfigurationPage()],
    ['docs/reference/events.md', renderEventsPage()],
    ['docs/reference/openapi.json', renderOpenApi()],
  ])

const renderOpenApi = (): string => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
    version: string
  }
  return `${JSON.stringify(buildOpenApi(describedRoutes(), describedEvents(), { version }), null, 2)}\n`
}
