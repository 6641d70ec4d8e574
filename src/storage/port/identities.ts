/** A person as storage knows them: under one id, whatever they are called. */
export interface KnownParty {
  readonly contactId: string
  readonly pn: string | undefined
  readonly lid: string | undefined
}

/** What is known of a chat: its conversation, and the person behind a one-to-one chat. */
export interface KnownChat {
  readonly conversationId: string | undefined
  readonly party: KnownParty | undefined
}

/** Who is meant by a JID. Nothing is made by asking. */
export interface IdentityRepository {
  /** Under either name of theirs; undefined when nobody is known by it, or it is no person's. */
  person(deviceId: string, jid: string): Promise<KnownParty | undefined>
  chat(deviceId: string, chat: string): Promise<KnownChat>
}
