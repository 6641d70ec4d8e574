// Keeps an installation's collections in step with the service.
import { EMPTY, type Mutation, readPatch, writePatch } from './app-state.ts'
import type { Connection } from './connection.ts'
import { check } from './inspection.ts'
import type { Installation } from './installation.ts'
import { dataOf, make, part, partsOf, type Stanza } from './stanza.ts'
import { demand } from './violation.ts'

const XMLNS = 'w:sync:app:state'

/** Fetches what is new in a collection. @throws Violation `app_state` when any MAC or the LTHash does not fit */
export async function downloadAppState(connection: Connection, own: Installation, name: string): Promise<Mutation[]> {
  const state = own.appState.get(name) ?? EMPTY
  const request = make('collection', { name, version: state.version, return_snapshot: 'false' })
  const answer = await connection.query('set', XMLNS, [make('sync', {}, [request])])
  return applyPatches(own, name, part(part(answer, 'sync'), 'collection'))
}

/**
 * Writes a change. Where another device was first, nothing is written.
 * @returns false after a conflict; what was new is applied then
 */
export async function uploadAppState(
  connection: Connection,
  own: Installation,
  name: string,
  mutation: Mutation,
): Promise<boolean> {
  const state = own.appState.get(name) ?? EMPTY
  const [keyId, key] = own.appStateKeys.entries().next().value ?? []
  if (keyId === undefined || key === undefined) throw new Error('the phone shared no key')
  const { patch, next } = writePatch(name, state, Buffer.from(keyId, 'hex'), key, mutation)
  const attrs = { name, version: state.version, return_snapshot: 'false' }
  const collection = make('collection', attrs, [make('patch', {}, patch)])
  const answer = await connection.query('set', XMLNS, [make('sync', {}, [collection])])
  const result = part(part(answer, 'sync'), 'collection')
  demand(result?.attrs.name === name, 'app_state', `an answer for ${result?.attrs.name}`)
  if (result.attrs.type === 'error') {
    demand(part(result, 'error')?.attrs.code === '409', 'app_state', 'an error that is no conflict')
    await applyPatches(own, name, result)
    return false
  }
  check(result, { name: /^\w+$/, version: /^\d+$/ })
  demand(Number(result.attrs.version) === next.version, 'app_state', `version ${result.attrs.version} after ours`)
  own.appState.set(name, next)
  return true
}

async function applyPatches(own: Installation, name: string, collection: Stanza | undefined): Promise<Mutation[]> {
  demand(collection?.attrs.name === name, 'app_state', `an answer for ${collection?.attrs.name}`)
  const keyOf = (id: Buffer): Buffer => {
    const key = own.appStateKeys.get(id.toString('hex'))
    demand(key !== undefined, 'app_state', `a patch under an unknown key ${id.toString('hex')}`)
    return key
  }
  let state = own.appState.get(name) ?? EMPTY
  const mutations: Mutation[] = []
  for (const patch of partsOf(part(collection, 'patches'), 'patch')) {
    const read = readPatch(name, state, dataOf(patch), keyOf)
    state = read.next
    mutations.push(...read.mutations)
  }
  demand(Number(collection.attrs.version) === state.version, 'app_state', `${name} is at ${collection.attrs.version}`)
  own.appState.set(name, state)
  return mutations
}
