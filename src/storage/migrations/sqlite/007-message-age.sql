-- For retention (MESSAGE_RETENTION).
create index messages_by_age on messages (created_at);
