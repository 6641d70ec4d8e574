import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import type { People } from '../phone/people.ts'
import type { Service } from '../service/service.ts'
import { makeActionRoutes } from './action-routes.ts'
import type { Context } from './context.ts'
import { makeLinkingRoutes } from './linking-routes.ts'
import { makeMediaRoutes } from './media-routes.ts'
import { makeMessageRoutes } from './message-routes.ts'
import { describeApi } from './openapi.ts'
import { makePeopleRoutes } from './people-routes.ts'
import { type Route, Router } from './router.ts'
import { makeServiceRoutes } from './service-routes.ts'

const PAGE = readFileSync(new URL('./page.html', import.meta.url))
const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  // The page is one file: nothing in it may load anything else.
  'content-security-policy':
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'",
}

/** Everything under `/sandbox/` and `/admin/`, in the order of the documentation. */
export function makeRoutes(context: Context): Route[] {
  return [
    ...makePeopleRoutes(context),
    ...makeLinkingRoutes(context),
    ...makeMessageRoutes(context),
    ...makeActionRoutes(context),
    ...makeMediaRoutes(context),
    ...makeServiceRoutes(context),
  ]
}

/** The control API as a listener for an HTTP server. It answers every path, unknown ones with 404. */
export function createControlApi(service: Service, people: People): RequestListener {
  const routes = makeRoutes({ service, people })
  const router = new Router(routes)
  const document = JSON.stringify(describeApi(routes))
  const report = (error: unknown) =>
    service.log.add('internal', 'control', error instanceof Error ? (error.stack ?? error.message) : String(error))
  return (request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0]
    if (request.method === 'GET' && path === '/sandbox/openapi.json') {
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(document)
    } else if (request.method === 'GET' && path === '/sandbox/') {
      response.writeHead(200, PAGE_HEADERS).end(PAGE)
    } else if (request.method === 'GET' && (path === '/sandbox' || path === '/')) {
      response.writeHead(302, { location: '/sandbox/' }).end()
    } else {
      void router.handle(request, response, report)
    }
  }
}
