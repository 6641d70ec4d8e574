-- What actions on a message leave behind, and how a conversation stands.
alter table messages add column target_message_id text; -- of an action: the message it is about
alter table messages add column hidden integer not null default 0; -- an action, or deleted for ourselves: not shown in lists
alter table messages add column mentions text; -- JSON array of JIDs; null = none
alter table messages add column details text; -- JSON: the poll, the place, the cards
alter table messages add column edited_at integer; -- seconds
alter table messages add column revoked_at integer; -- seconds; text, details and content are gone
alter table messages add column revoked_by text; -- JID
alter table messages add column starred integer not null default 0;
create index messages_shown on messages (device_id, conversation_id, timestamp, id) where hidden = 0;
create index messages_unread on messages (device_id, conversation_id) where state = 'received' and hidden = 0;

alter table conversations add column last_at integer; -- seconds: of the newest shown message; null = none
alter table conversations add column archived integer not null default 0;
alter table conversations add column pinned_at integer; -- ms; null = not pinned
alter table conversations add column muted_until integer; -- ms; -1 = for ever; null = not muted
alter table conversations add column marked_unread integer not null default 0;
alter table conversations add column disappearing integer; -- seconds; null = not known
create index conversations_recent on conversations (device_id, last_at, id) where alias_of is null;

-- The newest reaction of each person to a message.
create table message_reactions (
  message_row integer not null references messages (id) on delete cascade,
  reactor_key text not null, -- contact id where known, 'me', else the JID
  reactor text not null, -- JID
  from_me integer not null,
  emoji text not null, -- empty = taken back
  reacted_at integer not null, -- ms, as the reaction says
  primary key (message_row, reactor_key)
) strict, without rowid;

-- What a message said before each edit.
create table message_edits (
  message_row integer not null references messages (id) on delete cascade,
  edited_at integer not null, -- ms, as the edit says: the text stood until then
  text text,
  primary key (message_row, edited_at)
) strict, without rowid;

-- The newest vote of each person in a poll.
create table poll_votes (
  message_row integer not null references messages (id) on delete cascade,
  voter_key text not null, -- as reactor_key
  voter text not null, -- JID
  from_me integer not null,
  options text not null, -- JSON array of the chosen names; empty = withdrawn
  voted_at integer not null, -- ms, as the vote says
  primary key (message_row, voter_key)
) strict, without rowid;

-- Terms of each shown text (`storage/search-terms.ts`), with a term for its conversation; rowid = messages.id.
create virtual table message_search using fts5(terms, content = '', contentless_delete = 1, detail = 'full', tokenize = 'ascii');
create trigger messages_unsearch after delete on messages begin
  delete from message_search where rowid = old.id;
end;
