// Groups, companions' connections, faults, and what the service noticed.
import type { Disconnect, Fault } from '../service/faults.ts'
import { ApiError } from './api-error.ts'
import { type Context, findAccount, findCompanion, findPerson, phoneField } from './context.ts'
import type { Route } from './router.ts'
import type { Schema } from './schema.ts'
import { DEVICE, GROUP, listOf, OK, PROBLEM, reply, showDevice, showGroup, showProblem } from './views.ts'

const code = { type: 'integer', minimum: 0, maximum: 999 } as const

export function makeServiceRoutes(context: Context): Route[] {
  return [...makeGroupRoutes(context), ...makeDeviceRoutes(context), ...makeFaultRoutes(context), ...makeLogs(context)]
}

function makeGroupRoutes(context: Context): Route[] {
  const { groups } = context.service
  return [
    {
      method: 'POST',
      path: '/sandbox/groups',
      tag: 'groups',
      summary: 'Create a group',
      body: {
        type: 'object',
        properties: {
          subject: { type: 'string', minLength: 1, maxLength: 100 },
          creator: phoneField,
          participants: { type: 'array', items: phoneField, maxItems: 1024 },
        },
        required: ['subject', 'creator', 'participants'],
      },
      status: 201,
      reply: GROUP,
      refusals: { 404: ['unknown_person'] },
      handle: ({ body }) => {
        const creator = findPerson(context, body.creator as string).account
        const members = (body.participants as string[]).map((phone) => findPerson(context, phone).account)
        const others = [...new Set(members)].filter((member) => member !== creator)
        return showGroup(groups.create(creator, body.subject as string, others))
      },
    },
    {
      method: 'GET',
      path: '/sandbox/groups',
      tag: 'groups',
      summary: 'List all groups',
      reply: reply({ groups: listOf(GROUP) }),
      handle: () => ({ groups: groups.list().map(showGroup) }),
    },
  ]
}

function makeDeviceRoutes(context: Context): Route[] {
  const { service } = context
  return [
    {
      method: 'GET',
      path: '/sandbox/devices',
      tag: 'devices',
      summary: 'List every companion, connected or not',
      reply: reply({ devices: listOf(DEVICE) }),
      handle: () => ({ devices: service.accounts.list().flatMap(({ companions }) => companions.map(showDevice)) }),
    },
    {
      method: 'POST',
      path: '/sandbox/devices/{jid}/disconnect',
      tag: 'devices',
      summary: "End a companion's connection, in one of the ways WhatsApp does",
      description:
        '`half_open` leaves the socket open and silent; `failure` is what a login may be answered with (401 logged out, ' +
        '403 banned, 402 banned for `expire` seconds, 405 outdated, ...); `stream_error` needs a code too.',
      body: {
        type: 'object',
        properties: {
          mode: {
            type: 'string',
            enum: ['close', 'half_open', 'replaced', 'device_removed', 'stream_error', 'failure', 'xmlstreamend'],
          },
          code,
          expire: { type: 'integer', minimum: 1, description: 'seconds, for a failure' },
        },
        required: ['mode'],
      },
      reply: OK,
      refusals: { 404: ['unknown_device'], 409: ['not_connected'] },
      handle: ({ params, body }) => {
        const device = findCompanion(context, params.jid!)
        if (!service.faults.disconnect(device, readDisconnect(body))) {
          throw new ApiError(409, 'not_connected', `${device.jid} has no connection`)
        }
        return { ok: true }
      },
    },
  ]
}

function readDisconnect(body: Readonly<Record<string, unknown>>): Disconnect {
  const { mode, code, expire } = body as { mode: string; code?: number; expire?: number }
  if (mode === 'half_open') return { kind: 'stall' }
  if (mode !== 'stream_error' && mode !== 'failure') return { kind: mode as 'close' }
  if (code === undefined) throw new ApiError(400, 'invalid_request', `code is missing: ${mode} needs one`)
  if (mode === 'stream_error') return { kind: 'stream_error', code }
  return { kind: 'failure', reason: code, ...(expire !== undefined && { expireSeconds: expire }) }
}

const NEEDS: Readonly<Record<Fault['kind'], readonly string[]>> = {
  fail_login: ['reason'],
  fail_registration: ['reason'],
  reject_message: ['code'],
  swallow_ack: [],
  drop_message: [],
  duplicate: [],
  reorder: [],
  fail_iq: ['xmlns', 'code'],
  tamper: ['target'],
}

const FAULT_FIELDS: Readonly<Record<string, Schema>> = {
  kind: { type: 'string', enum: Object.keys(NEEDS) },
  phone: { ...phoneField, description: 'only for devices of this person' },
  times: { type: 'integer', minimum: 1, maximum: 1_000_000, description: '1 when absent' },
  reason: { ...code, description: 'for fail_login and fail_registration' },
  expire: { type: 'integer', minimum: 1, description: 'seconds, for fail_login and fail_registration' },
  code: { ...code, description: 'for reject_message and fail_iq; 0 for fail_iq: no answer at all' },
  to: { type: 'string', minLength: 1, maxLength: 100, description: 'for reject_message: a person or a group' },
  xmlns: { type: 'string', minLength: 1, maxLength: 100, description: 'for fail_iq' },
  target: {
    type: 'string',
    enum: ['enc', 'certificate', 'adv_hmac', 'adv_account_signature', 'signed_pre_key'],
    description: 'for tamper: what is damaged',
  },
}

function makeFaultRoutes(context: Context): Route[] {
  const { service } = context
  const armed = reply({
    id: { type: 'integer' },
    kind: { type: 'string' },
    phone: { type: 'string', nullable: true },
    left: { type: 'integer', description: 'occasions left' },
  })
  return [
    {
      method: 'POST',
      path: '/sandbox/faults',
      tag: 'faults',
      summary: 'Arm a fault for its next occasions',
      body: { type: 'object', properties: FAULT_FIELDS, required: ['kind'] },
      status: 201,
      reply: reply({ id: { type: 'integer' } }),
      refusals: { 404: ['unknown_person'], 422: ['unknown_recipient'] },
      handle: ({ body }) => ({ id: service.faults.arm(readFault(context, body)) }),
    },
    {
      method: 'GET',
      path: '/sandbox/faults',
      tag: 'faults',
      summary: 'List the armed faults',
      reply: reply({ faults: listOf(armed) }),
      handle: () => ({
        faults: service.faults
          .list()
          .map(({ id, fault, left }) => ({ id, kind: fault.kind, phone: fault.account?.pn ?? null, left })),
      }),
    },
    {
      method: 'DELETE',
      path: '/sandbox/faults',
      tag: 'faults',
      summary: 'Disarm all faults',
      reply: OK,
      handle: () => {
        service.faults.clear()
        return { ok: true }
      },
    },
    {
      method: 'DELETE',
      path: '/sandbox/faults/{id}',
      tag: 'faults',
      summary: 'Disarm one fault',
      reply: OK,
      refusals: { 404: ['unknown_fault'] },
      handle: ({ params }) => {
        if (service.faults.disarm(Number(params.id))) return { ok: true }
        throw new ApiError(404, 'unknown_fault', `no fault ${params.id} is armed`)
      },
    },
  ]
}

function readFault(context: Context, body: Readonly<Record<string, unknown>>): Fault {
  const { kind, phone, times, reason, expire, code, to, xmlns, target } = body as Record<string, string>
  const needs = NEEDS[kind as Fault['kind']]
  const missing = needs.find((field) => body[field] === undefined)
  if (missing !== undefined) throw new ApiError(400, 'invalid_request', `${missing} is missing: ${kind} needs it`)
  const allowed = new Set(['kind', 'phone', 'times', ...needs])
  if (needs.includes('reason')) allowed.add('expire')
  if (kind === 'reject_message') allowed.add('to')
  const stray = Object.keys(body).find((field) => !allowed.has(field))
  if (stray !== undefined) throw new ApiError(400, 'invalid_request', `${stray} means nothing to ${kind}`)
  if (to !== undefined && !to.includes('@g.us') && findAccount(context, to) === undefined) {
    throw new ApiError(422, 'unknown_recipient', `nobody has the number or address ${to}`)
  }
  const account = phone === undefined ? undefined : findPerson(context, phone).account
  const recipient = to === undefined ? undefined : (findAccount(context, to)?.jid ?? to)
  return {
    kind,
    ...(account !== undefined && { account }),
    ...(times !== undefined && { times }),
    ...(reason !== undefined && { reason }),
    ...(expire !== undefined && { expireSeconds: expire }),
    ...(code !== undefined && { code }),
    ...(recipient !== undefined && { to: recipient }),
    ...(xmlns !== undefined && { xmlns }),
    ...(target !== undefined && { target }),
  } as unknown as Fault
}

function makeLogs(context: Context): Route[] {
  const { service, people } = context
  const count = { type: 'integer' } as const
  return [
    {
      method: 'GET',
      path: '/sandbox/problems',
      tag: 'observing',
      summary: 'What clients sent that WhatsApp would not accept, or that could not be read',
      query: {
        after: { type: 'integer', minimum: 0, description: 'only what is newer than this seq' },
        from: { type: 'string', maxLength: 100 },
        kind: { type: 'string', maxLength: 100 },
      },
      reply: reply({ problems: listOf(PROBLEM) }),
      handle: ({ query }) => {
        const { after = 0, from, kind } = query
        const found = service.log
          .list({ after: Number(after) })
          .filter((problem) => (from ?? problem.from) === problem.from && (kind ?? problem.kind) === problem.kind)
        return { problems: found.map(showProblem) }
      },
    },
    {
      method: 'GET',
      path: '/sandbox/metrics',
      tag: 'observing',
      summary: 'Counters since the start, and gauges',
      reply: { type: 'object', properties: {}, additionalProperties: true },
      handle: () => {
        const entries = Object.entries(service.metrics.snapshot())
        const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
        return Object.fromEntries(entries.map(([name, value]) => [snake(name), value]))
      },
    },
    {
      method: 'GET',
      path: '/sandbox/state',
      tag: 'observing',
      summary: 'How many of everything there are, and who waits to be linked',
      reply: reply({
        people: count,
        devices: count,
        devices_connected: count,
        groups: count,
        faults: count,
        problems: count,
        registrations: listOf(
          reply({
            id: { type: 'string' },
            push_name: { type: 'string', nullable: true },
            os: { type: 'string' },
            refs: { type: 'integer', description: 'QR refs that may still be scanned' },
            link_code_for: { type: 'string', nullable: true, description: 'phone number' },
          }),
        ),
      }),
      handle: () => {
        const devices = service.accounts.list().flatMap(({ companions }) => companions)
        return {
          people: people.list().length,
          devices: devices.length,
          devices_connected: devices.filter(({ online }) => online).length,
          groups: service.groups.list().length,
          faults: service.faults.list().length,
          problems: service.log.list().length,
          registrations: service.registrations.list().map(({ id, pushName, props, refs, linkCode }) => ({
            id,
            push_name: pushName ?? null,
            os: props.os,
            refs: refs.length,
            link_code_for: linkCode?.phoneNumber ?? null,
          })),
        }
      },
    },
  ]
}
