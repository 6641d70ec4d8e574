// Polls as WhatsApp's phones handle them: votes are sealed with a secret that travels in the poll.
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { proto } from 'baileys/WAProto/index.js'
import { encode } from './adv.ts'
import { unwrap } from './message-content.ts'

export interface Poll {
  readonly question: string
  readonly options: readonly string[]
  /** 0 = any number. */
  readonly selectable: number
}

export const readPoll = (message: proto.IMessage): Poll | undefined => {
  const content = unwrap(message)
  const poll = content.pollCreationMessage ?? content.pollCreationMessageV2 ?? content.pollCreationMessageV3
  if (!poll) return undefined
  return {
    question: poll.name ?? '',
    options: (poll.options ?? []).map(({ optionName }) => optionName ?? ''),
    selectable: poll.selectableOptionsCount ?? 0,
  }
}

export function makePoll({ question, options, selectable }: Poll): proto.IMessage {
  const poll = {
    name: question,
    options: options.map((optionName) => ({ optionName })),
    selectableOptionsCount: selectable,
  }
  const messageContextInfo = { messageSecret: randomBytes(32) }
  return selectable === 1
    ? { pollCreationMessageV3: poll, messageContextInfo }
    : { pollCreationMessage: poll, messageContextInfo }
}

const hashOf = (option: string): Buffer => createHash('sha256').update(option).digest()

function keyOf(secret: Uint8Array, pollId: string, creator: string, voter: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `${pollId}${creator}${voter}Poll Vote`, 32))
}

const secretOf = (poll: proto.IMessage): Uint8Array =>
  poll.messageContextInfo?.messageSecret ?? unwrap(poll).messageContextInfo?.messageSecret ?? Buffer.alloc(0)

/** Seals a vote under the addresses of the poll's creator and of the voter. */
export function sealVote(
  poll: proto.IMessage,
  pollId: string,
  names: { readonly creator: string; readonly voter: string },
  options: readonly string[],
): proto.Message.IPollEncValue {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', keyOf(secretOf(poll), pollId, names.creator, names.voter), iv)
  cipher.setAAD(Buffer.from(`${pollId}\0${names.voter}`))
  const plain = encode(proto.Message.PollVoteMessage, { selectedOptions: options.map(hashOf) })
  return { encPayload: Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]), encIv: iv }
}

/** The options of a vote; undefined when it opens under none of the addresses. */
export function openVote(
  poll: proto.IMessage,
  pollId: string,
  vote: proto.Message.IPollEncValue,
  creators: readonly string[],
  voters: readonly string[],
): readonly string[] | undefined {
  const options = readPoll(poll)?.options ?? []
  const sealed = Buffer.from(vote.encPayload ?? [])
  for (const creator of creators) {
    for (const voter of voters) {
      const key = keyOf(secretOf(poll), pollId, creator, voter)
      const plain = unseal(sealed, key, Buffer.from(vote.encIv ?? []), Buffer.from(`${pollId}\0${voter}`))
      if (plain === undefined) continue
      const chosen = proto.Message.PollVoteMessage.decode(plain).selectedOptions ?? []
      return chosen.map((hash) => options.find((option) => hashOf(option).equals(hash)) ?? 'unknown option')
    }
  }
  return undefined
}

function unseal(sealed: Buffer, key: Buffer, iv: Buffer, aad: Buffer): Buffer | undefined {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv)
    decipher.setAAD(aad)
    decipher.setAuthTag(sealed.subarray(-16))
    return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
  } catch (error) {
    if (error instanceof Error) return undefined
    throw error
  }
}
