-- Requests that came with an Idempotency-Key. The row is committed before what it leads to, with the message id chosen
-- for it, so that a repeat after a crash sends under the same id.
create table idempotency (
  device_id text not null references devices (device_id) on delete cascade,
  route text not null,
  key text not null,
  fingerprint text not null, -- of the request
  message_id text not null,
  reply text, -- JSON; null = in flight, or cut off in flight
  created_at bigint not null,
  primary key (device_id, route, key)
);
create index idempotency_by_age on idempotency (created_at);

-- Stanzas whose handling failed for what is in them. After some attempts they are acknowledged and stay here.
create table stanza_failures (
  device_id text not null references devices (device_id) on delete cascade,
  key text not null, -- hash of what identifies the stanza
  tag text not null,
  attempts integer not null,
  error text not null,
  stanza bytea not null, -- sealed
  first_at bigint not null,
  last_at bigint not null,
  given_up boolean not null,
  primary key (device_id, key)
);
create index stanza_failures_by_age on stanza_failures (last_at);

alter table messages add column failure_reason text; -- in words, when failed
