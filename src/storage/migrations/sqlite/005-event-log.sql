-- A position over all devices: a reader of the whole log has one cursor. It grows in the order of the commits, because
-- SQLite has one writer at a time. `last_position` is kept beside the events: the newest of them may be deleted.
alter table events add column log_position integer not null default 0;
update events set log_position = rowid;
create unique index events_by_position on events (log_position);
create table event_log (
  id integer primary key check (id = 1),
  last_position integer not null,
  -- The newest event that retention has let go of: a cursor before it may have missed something.
  floor_position integer not null,
  floor_sequence integer not null
) strict;
insert into event_log select 1, coalesce(max(log_position), 0), 0, 0 from events;

-- The same for the log of one device.
alter table devices add column event_floor integer not null default 0;
update devices set event_floor =
  coalesce((select min(sequence) - 1 from events e where e.device_id = devices.device_id), event_sequence);

-- Webhooks without a device get the events of all; endpoints that fail for long are paused; what was given up can be
-- sent again. A column cannot lose its `not null` here, so both tables are written anew.
create table new_webhooks (
  id integer primary key autoincrement,
  device_id text references devices (device_id) on delete cascade, -- null = of every device
  url text not null,
  events text not null, -- JSON array of names and patterns; empty = all
  active integer not null,
  secret blob not null, -- sealed
  headers blob not null, -- sealed JSON object
  failing_since integer,
  paused_at integer,
  created_at integer not null,
  updated_at integer not null
) strict;
insert into new_webhooks (id, device_id, url, events, active, secret, headers, created_at, updated_at)
  select id, device_id, url, events, active, secret, headers, created_at, updated_at from webhooks;

create table new_deliveries (
  id integer primary key autoincrement,
  webhook_id integer not null references new_webhooks (id) on delete cascade,
  device_id text not null,
  sequence integer not null,
  event_type text not null,
  order_key text not null, -- '' = the device as a whole; of a webhook for all devices: the device
  state text not null, -- pending, success, failed
  redelivered integer not null default 0, -- was given up once and put in line again
  attempt_count integer not null default 0,
  refusal_count integer not null default 0, -- attempts answered with 4xx
  next_attempt_at integer not null, -- when a pending one is due
  last_error text not null default '',
  last_status_code integer,
  last_latency_ms integer,
  created_at integer not null, -- when it was put in line
  updated_at integer not null
) strict;
insert into new_deliveries (id, webhook_id, device_id, sequence, event_type, order_key, state, attempt_count,
    refusal_count, next_attempt_at, last_error, last_status_code, last_latency_ms, created_at, updated_at)
  select id, webhook_id, device_id, sequence, event_type, order_key, state, attempt_count,
    refusal_count, next_attempt_at, last_error, last_status_code, last_latency_ms, created_at, updated_at from deliveries;

-- Ids are never given out twice, also those of rows that are gone.
delete from sqlite_sequence where name in ('new_webhooks', 'new_deliveries');
insert into sqlite_sequence (name, seq)
  select 'new_' || name, seq from sqlite_sequence where name in ('webhooks', 'deliveries');

drop table deliveries;
drop table webhooks;
alter table new_webhooks rename to webhooks;
alter table new_deliveries rename to deliveries;

create index webhooks_by_device on webhooks (device_id);
create unique index deliveries_identity on deliveries (webhook_id, device_id, sequence);
create index deliveries_heads on deliveries (webhook_id, order_key, sequence) where state = 'pending';
create index deliveries_due on deliveries (webhook_id, next_attempt_at) where state = 'pending';
create index deliveries_waiting_by_age on deliveries (created_at) where state = 'pending';
create index deliveries_retrying on deliveries (webhook_id, updated_at) where state = 'pending' and attempt_count > 0;
create index deliveries_finished on deliveries (webhook_id, updated_at) where state <> 'pending';
create index deliveries_failed on deliveries (webhook_id, id) where state = 'failed';
