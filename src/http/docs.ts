import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { ParleyError } from '../kernel/errors.ts'
import type { Replier } from './replier.ts'

export interface DocsParts {
  readonly app: FastifyInstance
  readonly replier: Replier
  readonly baseUrl: string
  readonly document: () => object
}

interface Page {
  readonly contentType: string
  readonly body: string | Buffer
  readonly etag: string
}

/** Swagger UI's own files come from its package: the page works without the internet. */
const INDEX = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley API</title>
<link rel="stylesheet" href="./swagger-ui.css">
<link rel="icon" type="image/png" href="./favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="./swagger-ui-bundle.js"></script>
<script src="./initializer.js"></script>
</body>
</html>
`

const INITIALIZER = `window.ui = SwaggerUIBundle({
  url: './swagger.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  docExpansion: 'none',
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
})
`

const CSP = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'"

const pageOf = (contentType: string, body: string | Buffer): Page => ({
  contentType,
  body,
  etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
})

/** `/docs/`, `/docs/swagger.json`, `/docs/swagger.yaml`; every link in them is relative, so any base URL works. */
export const serveDocs = ({ app, replier, baseUrl, document }: DocsParts): void => {
  const asset = (name: string, contentType: string) => async () => {
    const home = createRequire(import.meta.url).resolve('@fastify/swagger-ui/package.json')
    return pageOf(contentType, await readFile(join(dirname(home), 'static', name)))
  }
  const html = async () => pageOf('text/html; charset=utf-8', INDEX)
  const pages: Readonly<Record<string, () => Promise<Page>>> = {
    '': html,
    'index.html': html,
    'initializer.js': async () => pageOf('text/javascript; charset=utf-8', INITIALIZER),
    'swagger.json': async () => pageOf('application/json; charset=utf-8', JSON.stringify(document(), null, 2)),
    'swagger.yaml': async () => {
      // Loaded when it is asked for, which is seldom: the start is counted.
      const { stringify } = await import('yaml')
      return pageOf('application/yaml; charset=utf-8', stringify(document(), { aliasDuplicateObjects: false }))
    },
    'swagger-ui.css': asset('swagger-ui.css', 'text/css; charset=utf-8'),
    'swagger-ui-bundle.js': asset('swagger-ui-bundle.js', 'text/javascript; charset=utf-8'),
    'favicon-32x32.png': asset('favicon-32x32.png', 'image/png'),
  }
  const made = new Map<string, Page>()

  const serve = async (name: string, request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    reply.hijack()
    try {
      const page = made.get(name) ?? (await pages[name]!())
      made.set(name, page)
      const headers = ['cache-control', 'public, no-cache', 'etag', page.etag, 'content-security-policy', CSP]
      if (request.headers['if-none-match'] === page.etag) replier.send(request, reply, 304, undefined, '', headers)
      else replier.send(request, reply, 200, page.contentType, page.body, headers)
    } catch (error) {
      replier.failure(
        request,
        reply,
        undefined,
        new ParleyError('internal', 'the page cannot be made', { cause: error }),
      )
    }
  }

  // RFC 3986 section 5.2: without the slash the relative links would miss the folder.
  app.route({
    method: ['GET', 'HEAD'],
    url: `${baseUrl}/docs`,
    handler: (request, reply) => replier.send(request, reply, 301, undefined, '', ['location', `${baseUrl}/docs/`]),
  })
  for (const name of Object.keys(pages)) {
    app.route({
      method: ['GET', 'HEAD'],
      url: `${baseUrl}/docs/${name}`,
      handler: (request, reply) => void serve(name, request, reply),
    })
  }
}
