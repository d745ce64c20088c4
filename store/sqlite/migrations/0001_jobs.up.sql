-- A job's row is written once and never changes. Its number is the order of enqueueing.
create table bellhop_jobs (
	job          integer primary key,
	id           blob    not null,
	kind         text    not null,
	queue        text    not null,
	priority     integer not null,
	run_at       integer,
	attempts     integer not null,
	timeout_ns   integer,
	retention_ns integer,
	unique_key   text,
	tags         text, -- JSON array
	meta         text, -- JSON object
	enqueued_at  integer not null,
	args         blob
);
create unique index bellhop_jobs_id on bellhop_jobs (id);

-- Where a job is, is told by one row in one of the six tables that follow.
-- All times are microseconds since 1970, UTC.
create table bellhop_ready (
	queue      text    not null,
	priority   integer not null,
	due        integer not null,
	job        integer not null,
	kind       text    not null,
	generation integer not null default 0,
	claim      integer not null default 0,
	attempt    integer not null default 0,
	failures   integer not null default 0,
	crashes    integer not null default 0,
	suspect    integer not null default 0,
	cancel     integer not null default 0,
	reason     text,
	progress   blob,
	primary key (queue, priority, due, job)
) without rowid;
create unique index bellhop_ready_job on bellhop_ready (job);

create table bellhop_scheduled (
	job        integer primary key,
	queue      text    not null,
	due        integer not null,
	generation integer not null default 0,
	claim      integer not null default 0,
	attempt    integer not null default 0,
	failures   integer not null default 0,
	crashes    integer not null default 0,
	suspect    integer not null default 0,
	cancel     integer not null default 0,
	reason     text,
	progress   blob
);
create index bellhop_scheduled_due on bellhop_scheduled (due, job);
create index bellhop_scheduled_queue on bellhop_scheduled (queue, due);

create table bellhop_blocked (
	job        integer primary key,
	queue      text    not null,
	due        integer not null,
	waits      integer not null default 0,
	generation integer not null default 0,
	claim      integer not null default 0,
	attempt    integer not null default 0,
	failures   integer not null default 0,
	crashes    integer not null default 0,
	suspect    integer not null default 0,
	cancel     integer not null default 0,
	reason     text,
	progress   blob
);
create index bellhop_blocked_queue on bellhop_blocked (queue);

-- Few at any time: as many as all processes hold together.
create table bellhop_running (
	job        integer primary key,
	queue      text    not null,
	exchange   blob    not null,
	process    blob    not null,
	claimed_at integer not null,
	due        integer not null,
	generation integer not null,
	claim      integer not null,
	attempt    integer not null,
	failures   integer not null,
	crashes    integer not null,
	suspect    integer not null,
	cancel     integer not null,
	started    integer not null default 0,
	reason     text,
	progress   blob
);
create index bellhop_running_cancel on bellhop_running (process) where cancel = 1;

create table bellhop_finished (
	job         integer primary key,
	state       integer not null, -- 5 succeeded, 6 discarded, 7 cancelled
	finished_at integer not null,
	expires_at  integer, -- null: kept until a person deletes it
	due         integer not null,
	generation  integer not null,
	claim       integer not null,
	attempt     integer not null,
	failures    integer not null,
	crashes     integer not null,
	suspect     integer not null,
	number      integer, -- from here to ended: the record of the attempt that succeeded; null in other states
	process     blob,
	exchange    blob,
	claimed_at  integer,
	started     integer,
	ended       integer,
	reason      text,
	progress    blob,
	result      blob,
	log         blob
);
create index bellhop_finished_expires on bellhop_finished (expires_at) where expires_at is not null;

create table bellhop_dead (
	job         integer primary key,
	queue       text    not null,
	finished_at integer not null,
	expires_at  integer,
	due         integer not null,
	generation  integer not null,
	claim       integer not null,
	attempt     integer not null,
	failures    integer not null,
	crashes     integer not null,
	suspect     integer not null,
	reason      text,
	progress    blob,
	result      blob
);
create index bellhop_dead_queue on bellhop_dead (queue);
create index bellhop_dead_expires on bellhop_dead (expires_at) where expires_at is not null;

-- One row for each claim that has ended, but for the one that succeeded: its record is in
-- bellhop_finished. Never changed; the newest 20 of a job are kept.
create table bellhop_attempts (
	job        integer not null,
	claim      integer not null,
	generation integer not null,
	number     integer not null,
	process    blob    not null,
	exchange   blob    not null,
	outcome    integer not null,
	due        integer not null,
	claimed_at integer not null,
	started    integer,
	ended      integer,
	failure    text, -- JSON object
	log        blob, -- JSON object
	primary key (job, claim)
) without rowid;

-- A key is held by the live job that it names.
create table bellhop_unique_keys (
	unique_key text    not null primary key,
	job        integer not null
) without rowid;
create index bellhop_unique_keys_job on bellhop_unique_keys (job);

-- Exchanges that made claims, so that a repeated one is known.
create table bellhop_exchanges (
	id      blob    not null primary key,
	made_at integer not null
) without rowid;

create table bellhop_queues (
	name   text    not null primary key,
	paused integer not null
) without rowid;

-- A row with gone_at is of a process that was swept or has left, and cannot come back.
create table bellhop_processes (
	id         blob    not null primary key,
	name       text    not null,
	host       text    not null,
	pid        integer not null,
	version    text    not null,
	started_at integer,
	queues     text, -- JSON array
	kinds      text, -- JSON array
	slots      integer not null,
	busy       integer not null,
	beat_at    integer not null,
	beats      integer not null,
	lease      integer not null, -- microseconds
	gone_at    integer
) without rowid;

create table bellhop_records (
	space      text    not null,
	name       text    not null,
	value      blob,
	version    integer not null,
	expires_at integer,
	primary key (space, name)
) without rowid;
create index bellhop_records_expires on bellhop_records (expires_at) where expires_at is not null;

create table bellhop_counters (
	name  text    not null primary key,
	value integer not null
) without rowid;
insert into bellhop_counters (name, value) values ('record', 0);
