import { createHash } from 'node:crypto'
import { type BinaryNode, encodeBinaryNode } from 'baileys'
import { isParleyError, messageOf } from '../../kernel/errors.ts'
import type { StanzaFailureRepository } from '../../storage/index.ts'
import { STORAGE_FAILURE } from './signal-repository.ts'

/** So often a stanza may come and fail before it is acknowledged and put aside. */
export const ATTEMPTS = 5

/** Most bytes of a stanza that are kept for inspection. */
const MOST_KEPT = 64 * 1024

/** What is not the stanza's doing. A conflict is, unless it says that another process owns the keys now. */
export const isStorageFailure = (error: unknown): boolean =>
  isParleyError(error, 'storage_unavailable') ||
  isParleyError(error, 'data_damaged') ||
  (isParleyError(error, 'conflict') && error.data?.reason === 'not_the_owner') ||
  messageOf(error).startsWith(STORAGE_FAILURE)

/**
 * Counts a stanza that could not be handled for what is in it. WhatsApp sends it again at each connection, so without an
 * end it would come for ever. Answers whether it is to be acknowledged now. @throws storage_unavailable
 */
export const notePoison = async (
  failures: Pick<StanzaFailureRepository, 'note'>,
  deviceId: string,
  node: BinaryNode,
  error: unknown,
): Promise<{ readonly attempts: number; readonly givenUp: boolean }> => {
  const stanza = bytesOf(node)
  return failures.note(
    deviceId,
    { key: keyOf(node), tag: node.tag.slice(0, 40), error: messageOf(error), stanza: stanza.subarray(0, MOST_KEPT) },
    ATTEMPTS,
  )
}

/** The same for the same stanza, whether it waited on the server (`offline`) or not. */
const keyOf = (node: BinaryNode): string => {
  const { offline: _, ...rest } = node.attrs
  const sorted = Object.fromEntries(Object.entries(rest).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  return createHash('sha256')
    .update(bytesOf({ ...node, attrs: sorted }))
    .digest('base64url')
}

const bytesOf = (node: BinaryNode): Buffer => {
  try {
    return encodeBinaryNode(node)
  } catch (error) {
    // what cannot be written as a node is told apart by its attributes
    return Buffer.from(JSON.stringify([node.tag, node.attrs, messageOf(error)]))
  }
}
