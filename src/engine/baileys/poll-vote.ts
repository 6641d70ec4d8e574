import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto'
import { normalizeMessageContent, proto } from 'baileys'
import { ParleyError } from '../../kernel/errors.ts'
import { bareJid } from '../../kernel/jid.ts'
import type { MessageReference, OutgoingContent } from '../outgoing.ts'
import type { OwnIdentity } from './build-message.ts'

const IV_LENGTH = 12
const TAG_LENGTH = 16

/**
 * The key of a vote: HMAC chain (= HKDF-SHA256 without salt, 32 bytes) over the poll's secret with
 * `poll id || creator || voter || "Poll Vote"`; the vote is sealed with AES-256-GCM, AAD = `poll id NUL voter`.
 */
export const voteKey = (secret: Uint8Array, pollId: string, creator: string, voter: string) => {
  const info = Buffer.concat([Buffer.from(pollId), Buffer.from(creator), Buffer.from(voter), Buffer.from('Poll Vote')])
  const extracted = createHmac('sha256', Buffer.alloc(32)).update(secret).digest()
  const key = createHmac('sha256', extracted)
    .update(info)
    .update(Buffer.from([1]))
    .digest()
  return { key, aad: Buffer.from(`${pollId}\0${voter}`) }
}

export const hashOption = (name: string): Buffer => createHash('sha256').update(name, 'utf8').digest()

/** The secret and the option names of a poll's content. @throws bad_request when it is no poll */
export const readPoll = (content: Uint8Array): { readonly secret: Uint8Array; readonly options: readonly string[] } => {
  const message = proto.Message.decode(content)
  const inner = normalizeMessageContent(message)
  const poll =
    inner?.pollCreationMessage ??
    inner?.pollCreationMessageV2 ??
    inner?.pollCreationMessageV3 ??
    inner?.pollCreationMessageV5
  const secret = message.messageContextInfo?.messageSecret ?? inner?.messageContextInfo?.messageSecret
  if (!poll || !secret?.length)
    throw new ParleyError('bad_request', 'poll_id: this message is not a poll', { field: 'poll_id' })
  return { secret, options: (poll.options ?? []).map(({ optionName }) => optionName ?? '') }
}

/** Who we are to the poll: the creator and the voter must be named in the same addressing as the chat's. */
const namesFor = (poll: MessageReference, chat: string, own: OwnIdentity) => {
  // groups are addressed by LID; a poll of our own says nothing about it
  const inGroup = poll.fromMe && chat.endsWith('@g.us')
  const usesLid = poll.sender.endsWith('@lid') || chat.endsWith('@lid') || inGroup
  const self = usesLid && own.lid ? own.lid : own.pn
  return { creator: poll.fromMe ? self : bareJid(poll.sender), voter: self }
}

/** @throws bad_request for an option that the poll does not have */
export const encryptPollVote = (
  vote: Extract<OutgoingContent, { kind: 'poll_vote' }>,
  chat: string,
  own: OwnIdentity,
  nowMs: number,
): proto.Message.IPollUpdateMessage => {
  const { secret, options } = readPoll(vote.pollContent)
  for (const [i, name] of vote.options.entries())
    if (!options.includes(name))
      throw new ParleyError('bad_request', `options[${i}]: the poll has no option "${name}"`, {
        field: `options[${i}]`,
      })
  const { creator, voter } = namesFor(vote.poll, chat, own)
  const { key, aad } = voteKey(secret, vote.poll.messageId, creator, voter)
  const encIv = randomBytes(IV_LENGTH)
  const cipher = createCipheriv('aes-256-gcm', key, encIv).setAAD(aad)
  const plain = proto.Message.PollVoteMessage.encode({ selectedOptions: vote.options.map(hashOption) }).finish()
  const encPayload = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  return {
    pollCreationMessageKey: {
      remoteJid: chat,
      id: vote.poll.messageId,
      fromMe: vote.poll.fromMe,
      ...(chat.endsWith('@g.us') ? { participant: vote.poll.sender } : {}),
    },
    vote: { encPayload, encIv },
    senderTimestampMs: nowMs,
  }
}

/** The names of the chosen options; undefined when the vote opens under none of the names. */
export const openPollVote = (
  pollContent: Uint8Array,
  pollId: string,
  vote: proto.Message.IPollEncValue,
  names: { readonly creators: readonly string[]; readonly voters: readonly string[] },
): readonly string[] | undefined => {
  const { secret, options } = readPoll(pollContent)
  const sealed = Buffer.from(vote.encPayload ?? [])
  if (sealed.length < TAG_LENGTH || vote.encIv?.length !== IV_LENGTH) return undefined
  for (const creator of names.creators)
    for (const voter of names.voters) {
      const { key, aad } = voteKey(secret, pollId, creator, voter)
      const plain = unseal(sealed, key, vote.encIv, aad)
      if (!plain) continue
      const hashes = new Map(options.map((name) => [hashOption(name).toString('hex'), name]))
      const { selectedOptions } = proto.Message.PollVoteMessage.decode(plain)
      return (selectedOptions ?? []).flatMap((hash) => hashes.get(Buffer.from(hash).toString('hex')) ?? [])
    }
  return undefined
}

const unseal = (sealed: Buffer, key: Buffer, iv: Uint8Array, aad: Buffer): Buffer | undefined => {
  const decipher = createDecipheriv('aes-256-gcm', key, iv).setAAD(aad)
  decipher.setAuthTag(sealed.subarray(-TAG_LENGTH))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_LENGTH)), decipher.final()])
  } catch (error) {
    // the tag does not fit: it was sealed under other names
    if (error instanceof Error) return undefined
    throw error
  }
}
