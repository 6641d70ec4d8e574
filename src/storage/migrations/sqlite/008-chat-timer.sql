-- Which of two timers of a chat is the newer one.
alter table conversations add column disappearing_at integer; -- seconds since the epoch; 0 = not said, null = not known
