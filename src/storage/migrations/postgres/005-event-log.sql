-- A position over all devices: a reader of the whole log has one cursor. It is `base` plus the number of the transaction
-- that wrote the event, and only what is older than every transaction under way may be read: so no commit can come late.
-- `base` moves up when the database came to another server, whose transaction numbers are lower.
alter table events add column log_position bigint not null default 0;
update events e set log_position = n.number
  from (select device_id, sequence, row_number() over (order by created_at, device_id, sequence) as number from events) n
  where n.device_id = e.device_id and n.sequence = e.sequence;
create index events_by_position on events (log_position, sequence);
create table event_log (
  id integer primary key check (id = 1),
  base bigint not null,
  -- The newest event that retention has let go of: a cursor before it may have missed something.
  floor_position bigint not null,
  floor_sequence bigint not null
);
insert into event_log select 1, coalesce(max(log_position), 0) + 1 - txid_current(), 0, 0 from events;

-- The same for the log of one device.
alter table devices add column event_floor bigint not null default 0;
update devices set event_floor =
  coalesce((select min(sequence) - 1 from events e where e.device_id = devices.device_id), event_sequence);

-- Webhooks without a device get the events of all; endpoints that fail for long are paused; what was given up can be
-- sent again.
alter table webhooks alter column device_id drop not null; -- null = of every device
alter table webhooks add column failing_since bigint;
alter table webhooks add column paused_at bigint;
alter table deliveries add column redelivered boolean not null default false;
drop index deliveries_identity;
create unique index deliveries_identity on deliveries (webhook_id, device_id, sequence);
drop index deliveries_failed;
create index deliveries_failed on deliveries (webhook_id, id) where state = 'failed';
