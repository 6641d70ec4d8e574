-- What happens to the gateway itself and belongs to no device: the log of all devices has it, beside the devices' events.
create table gateway_events (
  sequence integer primary key autoincrement,
  event_id text not null,
  type text not null,
  payload text not null, -- JSON
  occurred_at integer not null,
  created_at integer not null,
  log_position integer not null
) strict;
create unique index gateway_events_by_position on gateway_events (log_position, sequence);
create index gateway_events_by_age on gateway_events (created_at);
