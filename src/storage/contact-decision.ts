/** What is known of a contact when names are to be matched with it. */
export interface KnownContact {
  /** Lower = older. */
  readonly id: number
  readonly pn: string | null
  readonly lid: string | null
}

/**
 * What the names of a stanza mean for the contacts that carry them.
 *
 * The LID is the person: it stays when the number changes. So
 * - a number without a LID and a LID without that number turn out to be one person when a stanza names both: `merge`;
 * - a number whose contact has another LID has moved to a new person: that contact loses it (`release`);
 * - a LID that shows up with another number is the same person with a new number.
 */
export type ContactDecision<C extends KnownContact> = {
  /** The contact that loses its number first. */
  readonly release?: C
  /** The contact that becomes an alias of `keep`. */
  readonly merge?: C
} & (
  | { readonly keep: C; readonly names: { readonly pn: string | null; readonly lid: string | null } }
  /** Nobody has these names: a new contact. */
  | { readonly keep: undefined }
)

export const decideContact = <C extends KnownContact>(
  pn: string | undefined,
  lid: string | undefined,
  byPn: C | undefined,
  byLid: C | undefined,
): ContactDecision<C> => {
  if (byPn && byLid && byPn.id !== byLid.id) {
    const names = { pn: pn!, lid: lid! }
    if (byPn.lid !== null) return { release: byPn, keep: byLid, names }
    const [older, younger] = byPn.id < byLid.id ? [byPn, byLid] : [byLid, byPn]
    return { keep: older, merge: younger, names }
  }
  if (byLid) return { keep: byLid, names: { pn: pn ?? byLid.pn, lid: byLid.lid } }
  if (!byPn) return { keep: undefined }
  if (lid !== undefined && byPn.lid !== null) return { release: byPn, keep: undefined }
  return { keep: byPn, names: { pn: byPn.pn, lid: lid ?? byPn.lid } }
}
