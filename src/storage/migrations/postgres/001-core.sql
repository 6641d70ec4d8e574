-- Times are milliseconds since the epoch unless a comment says seconds..
-- "sealed" columns hold: version byte, data key id (4), iv (12), AES-256-GCM ciphertext, tag (16).

create table settings (
  name text primary key,
  value text not null
);

-- One row. Whoever takes the owner lock raises the epoch; every write of Signal keys checks it.
create table owner (
  id integer primary key check (id = 1),
  epoch bigint not null
);
insert into owner (id, epoch) values (1, 0);

-- Keys that seal rows, each wrapped by the configured wrapping key. The highest id seals new rows.
create table data_keys (
  id bigint primary key,
  wrapped bytea not null,
  created_at bigint not null
);

create table api_keys (
  id bigint generated always as identity primary key,
  key_hash text not null unique,
  masked_key text not null,
  customer_name text not null,
  customer_email text not null,
  customer_phone text not null,
  max_devices integer not null,
  rate_limit_per_hour integer not null,
  is_active boolean not null default true,
  created_at bigint not null,
  updated_at bigint
);

create table devices (
  id bigint generated always as identity primary key, -- the order of creation
  device_id text not null unique,
  api_key_id bigint not null references api_keys (id) on delete cascade,
  device_name text not null,
  secret_hash text not null,
  jid text,
  lid text,
  push_name text,
  status text not null default 'pending',
  status_reason text,
  token_version integer not null default 1,
  proxy_url bytea, -- sealed
  event_sequence bigint not null default 0, -- the sequence of the newest event
  created_at bigint not null,
  last_active_at bigint
);
create index devices_by_api_key on devices (api_key_id);

-- The three tables of the keys database (WHATSAPP_KEYS_DATASTORE_URI). They refer to no other table,
-- because there the devices live in another database.
create table credentials (
  device_id text primary key,
  value bytea not null, -- sealed
  updated_at bigint not null
);

create table signal_keys (
  device_id text not null,
  type text not null,
  id text not null,
  value bytea not null, -- sealed
  primary key (device_id, type, id)
);

create table journal (
  device_id text not null,
  hash text not null,
  plaintext bytea not null, -- sealed
  created_at bigint not null,
  primary key (device_id, hash)
);
create index journal_by_age on journal (created_at);
