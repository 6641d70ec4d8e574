-- One row per person and device. A contact that turned out to be another one keeps its id, loses its names and
-- points at the older one.
create table contacts (
  id integer primary key autoincrement, -- the lower one is the older contact
  device_id text not null references devices (device_id) on delete cascade,
  contact_id text not null,
  pn text,
  lid text,
  push_name text,
  alias_of text,
  created_at integer not null,
  unique (device_id, contact_id)
) strict;
create unique index contacts_by_pn on contacts (device_id, pn) where pn is not null;
create unique index contacts_by_lid on contacts (device_id, lid) where lid is not null;
create index contacts_aliases on contacts (device_id, alias_of) where alias_of is not null;

-- A one-to-one conversation belongs to a contact, any other to a chat JID.
create table conversations (
  id integer primary key autoincrement, -- the lower one is the older conversation
  device_id text not null references devices (device_id) on delete cascade,
  conversation_id text not null,
  contact_id text,
  chat text not null,
  alias_of text,
  created_at integer not null,
  unique (device_id, conversation_id)
) strict;
create unique index conversations_by_contact on conversations (device_id, contact_id)
  where contact_id is not null and alias_of is null;
create unique index conversations_by_chat on conversations (device_id, chat) where contact_id is null;
create index conversations_aliases on conversations (device_id, alias_of) where alias_of is not null;

create table messages (
  id integer primary key autoincrement,
  device_id text not null references devices (device_id) on delete cascade,
  conversation_id text not null,
  chat text not null, -- as WhatsApp addressed it
  message_id text not null,
  sender text not null,
  sender_contact_id text, -- as it was then; read through contacts.alias_of
  from_me integer not null,
  type text not null,
  text text,
  quoted_message_id text,
  push_name text,
  timestamp integer not null, -- seconds
  state text not null,
  failure_code integer,
  content blob, -- encoded Message protobuf
  created_at integer not null
) strict;
create unique index messages_identity on messages (device_id, message_id, conversation_id, sender);
create index messages_by_conversation on messages (device_id, conversation_id, timestamp, id);
create index messages_accepted on messages (device_id, id) where state = 'accepted';

create table message_receipts (
  message_row integer not null references messages (id) on delete cascade,
  recipient_key text not null, -- contact id where known, else the JID
  recipient text not null,
  delivered_at integer,
  read_at integer,
  played_at integer,
  primary key (message_row, recipient_key)
) strict, without rowid;

-- Stanzas that were taken in; the same key again changes nothing.
create table intake_keys (
  device_id text not null references devices (device_id) on delete cascade,
  key text not null,
  created_at integer not null,
  primary key (device_id, key)
) strict, without rowid;
create index intake_keys_by_age on intake_keys (created_at);
