// Faults that wait for their next occasions.
import type { Fault } from '../service/faults.ts'
import { ApiError } from './api-error.ts'
import { type Context, findAccount, findCompanion, findPerson, phoneField } from './context.ts'
import type { Route } from './router.ts'
import type { Schema } from './schema.ts'
import { listOf, OK, reply } from './views.ts'

const code = { type: 'integer', minimum: 0, maximum: 999 } as const

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
  device: {
    type: 'string',
    minLength: 1,
    maxLength: 100,
    description: 'for swallow_ack and drop_message: only this companion',
  },
  times: { type: 'integer', minimum: 1, maximum: 1_000_000, description: '1 when absent' },
  reason: { ...code, description: 'for fail_login and fail_registration' },
  expire: { type: 'integer', minimum: 1, description: 'seconds, for fail_login and fail_registration' },
  code: { ...code, description: 'for reject_message and fail_iq; 0 for fail_iq: no answer at all' },
  to: { type: 'string', minLength: 1, maxLength: 100, description: 'for reject_message: a person or a group' },
  xmlns: { type: 'string', minLength: 1, maxLength: 100, description: 'for fail_iq' },
  target: {
    type: 'string',
    enum: [
      'enc',
      'certificate',
      'adv_hmac',
      'adv_account_signature',
      'signed_pre_key',
      'device_account_signature',
      'device_signature',
      'plaintext',
      'app_state_patch_mac',
      'app_state_snapshot_mac',
      'app_state_value',
      'app_state_value_mac',
      'app_state_index_mac',
    ],
    description: 'for tamper: what is damaged',
  },
}

export function makeFaultRoutes(context: Context): Route[] {
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
      refusals: { 404: ['unknown_person', 'unknown_device'], 422: ['unknown_recipient'] },
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
  const { kind, phone, device, times, reason, expire, code, to, xmlns, target } = body as Record<string, string>
  const needs = NEEDS[kind as Fault['kind']]
  const missing = needs.find((field) => body[field] === undefined)
  if (missing !== undefined) throw new ApiError(400, 'invalid_request', `${missing} is missing: ${kind} needs it`)
  const allowed = new Set(['kind', 'phone', 'times', ...needs])
  if (needs.includes('reason')) allowed.add('expire')
  if (kind === 'reject_message') allowed.add('to')
  if (kind === 'swallow_ack' || kind === 'drop_message') allowed.add('device')
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
    ...(device !== undefined && { device: findCompanion(context, device) }),
    ...(times !== undefined && { times }),
    ...(reason !== undefined && { reason }),
    ...(expire !== undefined && { expireSeconds: expire }),
    ...(code !== undefined && { code }),
    ...(recipient !== undefined && { to: recipient }),
    ...(xmlns !== undefined && { xmlns }),
    ...(target !== undefined && { target }),
  } as unknown as Fault
}
