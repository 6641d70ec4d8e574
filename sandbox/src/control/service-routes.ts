// Groups, companions' connections, and what the service noticed.
import type { Disconnect } from '../service/faults.ts'
import { ApiError } from './api-error.ts'
import { type Context, findCompanion, findPerson, phoneField } from './context.ts'
import { makeFaultRoutes } from './fault-routes.ts'
import type { Route } from './router.ts'
import { DEVICE, GROUP, listOf, OK, PROBLEM, reply, showDevice, showGroup, showProblem } from './views.ts'
import { makeWireRoutes } from './wire-routes.ts'

const code = { type: 'integer', minimum: 100, maximum: 999 } as const

export function makeServiceRoutes(context: Context): Route[] {
  return [
    ...makeGroupRoutes(context),
    ...makeDeviceRoutes(context),
    ...makeFaultRoutes(context),
    ...makeLogRoutes(context),
    ...makeWireRoutes(context),
  ]
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
          locked: { type: 'boolean', description: 'only admins change what the group is like; false unless given' },
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
        return showGroup(groups.create(creator, body.subject as string, others, body.locked === true))
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

function makeLogRoutes(context: Context): Route[] {
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
