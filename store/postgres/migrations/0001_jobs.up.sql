-- The number of a job is the order of enqueueing.
create sequence bellhop_job_numbers;

-- A job's row is written once and never changes.
create table bellhop_jobs (
	job          bigint   not null,
	enqueued_at  bigint   not null,
	run_at       bigint,
	timeout_ns   bigint,
	retention_ns bigint,
	attempts     integer  not null,
	priority     smallint not null,
	id           uuid     not null,
	kind         text     collate "C" not null,
	queue        text     collate "C" not null,
	unique_key   text     collate "C",
	tags         text, -- JSON array
	meta         text, -- JSON object
	args         bytea,
	constraint bellhop_jobs_pkey primary key (job)
);
create unique index bellhop_jobs_id on bellhop_jobs (id);

-- Where a job is, is told by one row in one of the six tables that follow.
-- All times are microseconds since 1970, UTC.
create table bellhop_ready (
	due        bigint   not null,
	job        bigint   not null,
	claim      bigint   not null default 0,
	generation integer  not null default 0,
	attempt    integer  not null default 0,
	failures   integer  not null default 0,
	crashes    integer  not null default 0,
	priority   smallint not null,
	suspect    smallint not null default 0,
	cancel     smallint not null default 0,
	queue      text     collate "C" not null,
	kind       text     collate "C" not null,
	reason     text,
	progress   bytea,
	constraint bellhop_ready_pkey primary key (queue, priority, due, job)
);
create unique index bellhop_ready_job on bellhop_ready (job);

create table bellhop_scheduled (
	job        bigint   not null,
	due        bigint   not null,
	claim      bigint   not null default 0,
	generation integer  not null default 0,
	attempt    integer  not null default 0,
	failures   integer  not null default 0,
	crashes    integer  not null default 0,
	suspect    smallint not null default 0,
	cancel     smallint not null default 0,
	queue      text     collate "C" not null,
	reason     text,
	progress   bytea,
	constraint bellhop_scheduled_pkey primary key (job)
);
create index bellhop_scheduled_due on bellhop_scheduled (due, job);
create index bellhop_scheduled_queue on bellhop_scheduled (queue, due);

create table bellhop_blocked (
	job        bigint   not null,
	due        bigint   not null,
	claim      bigint   not null default 0,
	waits      integer  not null default 0,
	generation integer  not null default 0,
	attempt    integer  not null default 0,
	failures   integer  not null default 0,
	crashes    integer  not null default 0,
	suspect    smallint not null default 0,
	cancel     smallint not null default 0,
	queue      text     collate "C" not null,
	reason     text,
	progress   bytea,
	constraint bellhop_blocked_pkey primary key (job)
);
create index bellhop_blocked_queue on bellhop_blocked (queue);

-- Few at any time: as many as all processes hold together.
create table bellhop_running (
	job        bigint   not null,
	claim      bigint   not null,
	due        bigint   not null,
	claimed_at bigint   not null,
	generation integer  not null,
	attempt    integer  not null,
	failures   integer  not null,
	crashes    integer  not null,
	suspect    smallint not null,
	cancel     smallint not null,
	started    smallint not null default 0,
	exchange   uuid     not null,
	process    uuid     not null,
	queue      text     collate "C" not null,
	reason     text,
	progress   bytea,
	constraint bellhop_running_pkey primary key (job)
);
create index bellhop_running_cancel on bellhop_running (process) where cancel = 1;

create table bellhop_finished (
	job         bigint   not null,
	finished_at bigint   not null,
	expires_at  bigint, -- null: kept until a person deletes it
	due         bigint   not null,
	claim       bigint   not null,
	claimed_at  bigint, -- from here to exchange: the record of the attempt that succeeded; null in other states
	started     bigint,
	ended       bigint,
	number      integer,
	generation  integer  not null,
	attempt     integer  not null,
	failures    integer  not null,
	crashes     integer  not null,
	state       smallint not null, -- 5 succeeded, 6 discarded, 7 cancelled
	suspect     smallint not null,
	process     uuid,
	exchange    uuid,
	reason      text,
	progress    bytea,
	result      bytea,
	log         bytea,
	constraint bellhop_finished_pkey primary key (job)
);
create index bellhop_finished_expires on bellhop_finished (expires_at) where expires_at is not null;

create table bellhop_dead (
	job         bigint   not null,
	finished_at bigint   not null,
	expires_at  bigint,
	due         bigint   not null,
	claim       bigint   not null,
	generation  integer  not null,
	attempt     integer  not null,
	failures    integer  not null,
	crashes     integer  not null,
	suspect     smallint not null,
	queue       text     collate "C" not null,
	reason      text,
	progress    bytea,
	result      bytea,
	constraint bellhop_dead_pkey primary key (job)
);
create index bellhop_dead_queue on bellhop_dead (queue);
create index bellhop_dead_expires on bellhop_dead (expires_at) where expires_at is not null;

-- One row for each claim that has ended, but for the one that succeeded: its record is in
-- bellhop_finished. Never changed; the newest 20 of a job are kept.
create table bellhop_attempts (
	job        bigint   not null,
	claim      bigint   not null,
	due        bigint   not null,
	claimed_at bigint   not null,
	started    bigint,
	ended      bigint,
	generation integer  not null,
	number     integer  not null,
	outcome    smallint not null,
	process    uuid     not null,
	exchange   uuid     not null,
	failure    text, -- JSON object
	log        bytea, -- JSON object
	constraint bellhop_attempts_pkey primary key (job, claim)
);

-- A key is held by the live job that it names.
create table bellhop_unique_keys (
	unique_key text   collate "C" not null,
	job        bigint not null,
	constraint bellhop_unique_keys_pkey primary key (unique_key)
);
create index bellhop_unique_keys_job on bellhop_unique_keys (job);

-- Exchanges that made claims, so that a repeated one is known.
create table bellhop_exchanges (
	id      uuid   not null,
	made_at bigint not null,
	constraint bellhop_exchanges_pkey primary key (id)
);
create index bellhop_exchanges_made on bellhop_exchanges (made_at);

create table bellhop_queues (
	name   text     collate "C" not null,
	paused smallint not null,
	constraint bellhop_queues_pkey primary key (name)
);

-- A row with gone_at is of a process that was swept or has left, and cannot come back.
create table bellhop_processes (
	id         uuid    not null,
	name       text    not null,
	host       text    not null,
	pid        bigint  not null,
	version    text    not null,
	started_at bigint,
	queues     text, -- JSON array
	kinds      text, -- JSON array
	slots      bigint  not null,
	busy       bigint  not null,
	beat_at    bigint  not null,
	beats      bigint  not null,
	lease      bigint  not null, -- microseconds
	gone_at    bigint,
	constraint bellhop_processes_pkey primary key (id)
);

create table bellhop_records (
	version    bigint not null,
	expires_at bigint,
	space      text   collate "C" not null,
	name       text   collate "C" not null,
	value      bytea,
	constraint bellhop_records_pkey primary key (space, name)
);
create index bellhop_records_expires on bellhop_records (expires_at) where expires_at is not null;

create table bellhop_counters (
	name  text   collate "C" not null,
	value bigint not null,
	constraint bellhop_counters_pkey primary key (name)
);
insert into bellhop_counters (name, value) values ('record', 0);
