-- Times are milliseconds since the epoch unless a comment says seconds. Flags are 0 or 1.
-- "sealed" columns hold: version byte, data key id (4), iv (12), AES-256-GCM ciphertext, tag (16).

create table settings (
  name text primary key,
  value text not null
) strict, without rowid;

-- One row. Whoever takes the owner lock raises the epoch; every write of Signal keys checks it.
create table owner (
  id integer primary key check (id = 1),
  epoch integer not null
) strict;
insert into owner (id, epoch) values (1, 0);

-- Keys that seal rows, each wrapped by the configured wrapping key. The highest id seals new rows.
create table data_keys (
  id integer primary key,
  wrapped blob not null,
  created_at integer not null
) strict;

create table api_keys (
  id integer primary key autoincrement,
  key_hash text not null unique,
  masked_key text not null,
  customer_name text not null,
  customer_email text not null,
  customer_phone text not null,
  max_devices integer not null,
  rate_limit_per_hour integer not null,
  is_active integer not null default 1,
  created_at integer not null,
  updated_at integer
) strict;

create table devices (
  id integer primary key autoincrement, -- the order of creation
  device_id text not null unique,
  api_key_id integer not null references api_keys (id) on delete cascade,
  device_name text not null,
  secret_hash text not null,
  jid text,
  lid text,
  push_name text,
  status text not null default 'pending',
  status_reason text,
  token_version integer not null default 1,
  proxy_url blob, -- sealed
  event_sequence integer not null default 0, -- the sequence of the newest event
  created_at integer not null,
  last_active_at integer
) strict;
create index devices_by_api_key on devices (api_key_id);

-- The three tables of the keys database (WHATSAPP_KEYS_DATASTORE_URI). They refer to no other table,
-- because there the devices live in another database.
create table credentials (
  device_id text primary key,
  value blob not null, -- sealed
  updated_at integer not null
) strict;

create table signal_keys (
  device_id text not null,
  type text not null,
  id text not null,
  value blob not null, -- sealed
  primary key (device_id, type, id)
) strict, without rowid;

create table journal (
  device_id text not null,
  hash text not null,
  plaintext blob not null, -- sealed
  created_at integer not null,
  primary key (device_id, hash)
) strict, without rowid;
create index journal_by_age on journal (created_at);
