-- The append-only log. `sequence` counts per device from 1 (devices.event_sequence).
create table events (
  device_id text not null references devices (device_id) on delete cascade,
  sequence integer not null,
  event_id text not null,
  type text not null,
  order_key text,
  payload text not null, -- JSON
  occurred_at integer not null,
  dedupe_key text,
  created_at integer not null,
  primary key (device_id, sequence)
) strict;
create unique index events_dedupe on events (device_id, dedupe_key) where dedupe_key is not null;
create index events_by_age on events (created_at);

create table webhooks (
  id integer primary key autoincrement,
  device_id text not null references devices (device_id) on delete cascade,
  url text not null,
  events text not null, -- JSON array of names and patterns; empty = all
  active integer not null,
  secret blob not null, -- sealed
  headers blob not null, -- sealed JSON object
  created_at integer not null,
  updated_at integer not null
) strict;
create index webhooks_by_device on webhooks (device_id);

create table deliveries (
  id integer primary key autoincrement,
  webhook_id integer not null references webhooks (id) on delete cascade,
  device_id text not null,
  sequence integer not null,
  event_type text not null,
  order_key text not null, -- '' = the device as a whole
  state text not null, -- pending, success, failed
  attempt_count integer not null default 0,
  refusal_count integer not null default 0, -- attempts answered with 4xx
  next_attempt_at integer not null, -- when a pending one is due
  last_error text not null default '',
  last_status_code integer,
  last_latency_ms integer,
  created_at integer not null,
  updated_at integer not null
) strict;
create unique index deliveries_identity on deliveries (webhook_id, sequence);
create index deliveries_heads on deliveries (webhook_id, order_key, sequence) where state = 'pending';
create index deliveries_due on deliveries (webhook_id, next_attempt_at) where state = 'pending';
create index deliveries_waiting_by_age on deliveries (created_at) where state = 'pending';
create index deliveries_retrying on deliveries (webhook_id, updated_at) where state = 'pending' and attempt_count > 0;
create index deliveries_finished on deliveries (webhook_id, updated_at) where state <> 'pending';
create index deliveries_failed on deliveries (webhook_id) where state = 'failed';
