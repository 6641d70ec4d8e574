-- What actions on a message leave behind, and how a conversation stands.
alter table messages add column target_message_id text; -- of an action: the message it is about
alter table messages add column hidden boolean not null default false; -- an action, or deleted for ourselves: not shown in lists
alter table messages add column mentions text; -- JSON array of JIDs; null = none
alter table messages add column details text; -- JSON: the poll, the place, the cards
alter table messages add column edited_at bigint; -- seconds
alter table messages add column revoked_at bigint; -- seconds; text, details and content are gone
alter table messages add column revoked_by text; -- JID
alter table messages add column starred boolean not null default false;
create index messages_shown on messages (device_id, conversation_id, timestamp, id) where not hidden;
create index messages_unread on messages (device_id, conversation_id) where state = 'received' and not hidden;

alter table conversations add column last_at bigint; -- seconds: of the newest shown message; null = none
alter table conversations add column archived boolean not null default false;
alter table conversations add column pinned_at bigint; -- ms; null = not pinned
alter table conversations add column muted_until bigint; -- ms; -1 = for ever; null = not muted
alter table conversations add column marked_unread boolean not null default false;
alter table conversations add column disappearing bigint; -- seconds; null = not known
create index conversations_recent on conversations (device_id, last_at, id) where alias_of is null;

-- The newest reaction of each person to a message.
create table message_reactions (
  message_row bigint not null references messages (id) on delete cascade,
  reactor_key text not null, -- contact id where known, 'me', else the JID
  reactor text not null, -- JID
  from_me boolean not null,
  emoji text not null, -- empty = taken back
  reacted_at bigint not null, -- ms, as the reaction says
  primary key (message_row, reactor_key)
);

-- What a message said before each edit.
create table message_edits (
  message_row bigint not null references messages (id) on delete cascade,
  edited_at bigint not null, -- ms, as the edit says: the text stood until then
  text text,
  primary key (message_row, edited_at)
);

-- The newest vote of each person in a poll.
create table poll_votes (
  message_row bigint not null references messages (id) on delete cascade,
  voter_key text not null, -- as reactor_key
  voter text not null, -- JID
  from_me boolean not null,
  options text not null, -- JSON array of the chosen names; empty = withdrawn
  voted_at bigint not null, -- ms, as the vote says
  primary key (message_row, voter_key)
);

-- Terms of each shown text (`storage/search-terms.ts`), with a term for its conversation.
create table message_search (
  message_row bigint primary key references messages (id) on delete cascade,
  terms tsvector not null
);
create index message_search_terms on message_search using gin (terms) with (fastupdate = off);
