/** WhatsApp's codes for a refused message, in words. */
const WORDS: Readonly<Record<number, string>> = {
  403: 'WhatsApp does not allow this message (not a member of the group, or not allowed to write there)',
  463: 'WhatsApp restricts this account: it may not start new chats at present',
  479: 'WhatsApp rejected the message as malformed or addressed to a stale device',
}

/** Why a message failed; `reason` where WhatsApp gave no code. */
export const wordsOfFailure = (whatsappCode: number | undefined, reason: string | undefined): string =>
  whatsappCode === undefined
    ? `the message failed: ${reason ?? 'no reason given'}`
    : (WORDS[whatsappCode] ?? `WhatsApp refused the message (${whatsappCode})`)
