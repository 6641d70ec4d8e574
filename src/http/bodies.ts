import { parse as parseForm } from 'node:querystring'
import multipart from '@fastify/multipart'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { messageOf, ParleyError } from '../kernel/errors.ts'
import { failureReader } from './failures.ts'
import './request-notes.ts'
import type { BodyType, Route, UploadRule } from './route.ts'
import { checkLength, type SpooledFile, spool } from './uploads.ts'

/** A form field is text. */
const FIELD_BYTES = 65_536
const MOST_FIELDS = 50

const listOf = (types: readonly string[]): string => types.join(' or ')

export const bodyTypesOf = (route: Pick<Route, 'bodyTypes'>): readonly BodyType[] =>
  route.bodyTypes ?? ['application/json']

/** True where the multipart plugin (which hooks into every request of its context) is needed. */
export const takesMultipart = (route: Route): boolean =>
  route.body !== undefined && bodyTypesOf(route).includes('multipart/form-data')

/** Replaces Fastify's parsers: what a route does not take is refused in our words, and no body is read for nothing. */
export const registerBodyParsers = (app: FastifyInstance): void => {
  app.removeAllContentTypeParsers()
  const parseJson = app.getDefaultJsonParser('error', 'error')

  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, text, done) => {
    if (request.notes.route?.body === undefined || text === '') return done(null, undefined)
    parseJson(request, text as string, (error, value) => {
      if (error === null || error === undefined) return done(null, value)
      done(new ParleyError('bad_request', `the body is not valid JSON: ${messageOf(error)}`))
    })
  })

  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (request, text, done) => {
    const refusal = refuseType(request, 'application/x-www-form-urlencoded')
    if (refusal) return done(refusal)
    request.notes.isForm = true
    done(null, { ...parseForm(text as string, '&', '=', { maxKeys: MOST_FIELDS }) })
  })

  app.addContentTypeParser('*', (request, payload, done) => {
    payload.resume()
    const given = request.headers['content-type']
    const refusal = refuseType(request, given)
    if (refusal) done(refusal)
    else done(null, undefined)
  })
}

const refuseType = (request: FastifyRequest, given: string | undefined): ParleyError | undefined => {
  const { route } = request.notes
  if (route?.body === undefined) return undefined
  const taken = bodyTypesOf(route)
  if (given === undefined)
    return new ParleyError('bad_request', `Content-Type is missing; send ${listOf(taken)}`, { field: 'Content-Type' })
  if (taken.includes(given.split(';')[0]!.trim().toLowerCase() as BodyType)) return undefined
  return new ParleyError(
    'unsupported_media_type',
    `Content-Type ${given.slice(0, 80)} is not supported here; send ${listOf(taken)}`,
  )
}

/** For the context of routes that take multipart forms. */
export const registerMultipart = async (app: FastifyInstance): Promise<void> => {
  await app.register(multipart, {
    // the sizes of files are counted where they are written down
    throwFileSizeLimit: false,
    limits: { fieldSize: FIELD_BYTES, fields: MOST_FIELDS, files: 1, parts: MOST_FIELDS },
  })
}

export interface MultipartOptions {
  readonly bodyLimit: number
  readonly rule: UploadRule | undefined
  /** Where files are written. */
  readonly folder: string
}

export interface MultipartBody {
  readonly fields: Record<string, unknown>
  readonly upload: SpooledFile | undefined
}

/** The fields of a multipart form, and its file on disk. @throws bad_request, too_large */
export const readMultipart = async (
  request: FastifyRequest,
  { bodyLimit, rule, folder }: MultipartOptions,
): Promise<MultipartBody> => {
  checkLength(request.headers['content-length'], bodyLimit, rule)
  let upload: SpooledFile | undefined
  const fields: Record<string, unknown> = Object.create(null)
  try {
    for await (const part of request.parts({ limits: { fileSize: Number.MAX_SAFE_INTEGER } })) {
      if (part.type === 'file') {
        if (!rule || part.fieldname !== 'file') {
          part.file.resume()
          const why = rule ? 'a file belongs into the field "file"' : 'this form takes no file'
          throw new ParleyError('bad_request', `${part.fieldname}: ${why}`, { field: part.fieldname })
        }
        upload = await spool(part, folder, bodyLimit, rule)
        continue
      }
      if (part.valueTruncated)
        throw new ParleyError('too_large', `${part.fieldname}: longer than ${FIELD_BYTES} bytes`, {
          field: part.fieldname,
          data: { limit_bytes: FIELD_BYTES },
        })
      fields[part.fieldname] = part.value
    }
  } catch (error) {
    await upload?.[Symbol.asyncDispose]()
    const failure = failureReader(bodyLimit)(error)
    // Busboy's own complaints about a broken form carry no code.
    if (failure.code !== 'internal') throw failure
    throw new ParleyError('bad_request', `the form cannot be read: ${messageOf(error)}`, { cause: error })
  }
  return { fields, upload }
}
