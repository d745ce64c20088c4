-- MySQL and MariaDB commit each change of the schema by itself. So every
-- statement here can be repeated, and an interrupted migration goes on.
--
-- Texts are kept as bytes (varbinary, blob): names that differ in case, in a
-- trailing space or in an accent are different, whatever the collations are.
-- All times are microseconds since 1970, UTC.

-- A job's row is written once and never changes. Its number is the order of enqueueing.
create table if not exists bellhop_jobs (
	job          bigint         not null primary key,
	id           binary(16)     not null,
	kind         varbinary(255) not null,
	queue        varbinary(255) not null,
	priority     int            not null,
	run_at       bigint,
	attempts     bigint         not null,
	timeout_ns   bigint,
	retention_ns bigint,
	unique_key   varbinary(512),
	tags         mediumblob, -- JSON array
	meta         mediumblob, -- JSON object
	enqueued_at  bigint         not null,
	args         mediumblob,
	unique key bellhop_jobs_id (id)
) engine = InnoDB;

-- Where a job is, is told by one row in one of the six tables that follow.
-- The key is the order of claiming: a claim locks what it returns, and nothing else.
create table if not exists bellhop_ready (
	queue      varbinary(255) not null,
	priority   int            not null,
	due        bigint         not null,
	job        bigint         not null,
	kind       varbinary(255) not null,
	generation bigint         not null default 0,
	claim      bigint         not null default 0,
	attempt    bigint         not null default 0,
	failures   bigint         not null default 0,
	crashes    bigint         not null default 0,
	suspect    tinyint        not null default 0,
	cancel     tinyint        not null default 0,
	reason     mediumblob,
	progress   mediumblob,
	primary key (queue, priority, due, job),
	unique key bellhop_ready_job (job)
) engine = InnoDB;

create table if not exists bellhop_scheduled (
	job        bigint         not null primary key,
	queue      varbinary(255) not null,
	due        bigint         not null,
	generation bigint         not null default 0,
	claim      bigint         not null default 0,
	attempt    bigint         not null default 0,
	failures   bigint         not null default 0,
	crashes    bigint         not null default 0,
	suspect    tinyint        not null default 0,
	cancel     tinyint        not null default 0,
	reason     mediumblob,
	progress   mediumblob,
	key bellhop_scheduled_due (due, job),
	key bellhop_scheduled_queue (queue, due)
) engine = InnoDB;

create table if not exists bellhop_blocked (
	job        bigint         not null primary key,
	queue      varbinary(255) not null,
	due        bigint         not null,
	waits      bigint         not null default 0,
	generation bigint         not null default 0,
	claim      bigint         not null default 0,
	attempt    bigint         not null default 0,
	failures   bigint         not null default 0,
	crashes    bigint         not null default 0,
	suspect    tinyint        not null default 0,
	cancel     tinyint        not null default 0,
	reason     mediumblob,
	progress   mediumblob,
	key bellhop_blocked_queue (queue)
) engine = InnoDB;

-- Few at any time: as many as all processes hold together.
create table if not exists bellhop_running (
	job        bigint         not null primary key,
	queue      varbinary(255) not null,
	exchange   binary(16)     not null,
	process    binary(16)     not null,
	claimed_at bigint         not null,
	due        bigint         not null,
	generation bigint         not null,
	claim      bigint         not null,
	attempt    bigint         not null,
	failures   bigint         not null,
	crashes    bigint         not null,
	suspect    tinyint        not null,
	cancel     tinyint        not null,
	started    tinyint        not null default 0,
	reason     mediumblob,
	progress   mediumblob,
	touched    bigint         not null default 0, -- raised by a report: MySQL counts rows that change, not rows that are found
	key bellhop_running_process (process, cancel)
) engine = InnoDB;

create table if not exists bellhop_finished (
	job         bigint     not null primary key,
	state       tinyint    not null, -- 5 succeeded, 6 discarded, 7 cancelled
	finished_at bigint     not null,
	expires_at  bigint, -- null: kept until a person deletes it
	due         bigint     not null,
	generation  bigint     not null,
	claim       bigint     not null,
	attempt     bigint     not null,
	failures    bigint     not null,
	crashes     bigint     not null,
	suspect     tinyint    not null,
	number      bigint, -- from here to ended: the record of the attempt that succeeded; null in other states
	process     binary(16),
	exchange    binary(16),
	claimed_at  bigint,
	started     bigint,
	ended       bigint,
	reason      mediumblob,
	progress    mediumblob,
	result      mediumblob,
	log         mediumblob,
	key bellhop_finished_expires (expires_at)
) engine = InnoDB;

create table if not exists bellhop_dead (
	job         bigint         not null primary key,
	queue       varbinary(255) not null,
	finished_at bigint         not null,
	expires_at  bigint,
	due         bigint         not null,
	generation  bigint         not null,
	claim       bigint         not null,
	attempt     bigint         not null,
	failures    bigint         not null,
	crashes     bigint         not null,
	suspect     tinyint        not null,
	reason      mediumblob,
	progress    mediumblob,
	result      mediumblob,
	key bellhop_dead_queue (queue),
	key bellhop_dead_expires (expires_at)
) engine = InnoDB;

-- One row for each claim that has ended, but for the one that succeeded: its record is in
-- bellhop_finished. Never changed; the newest 20 of a job are kept.
create table if not exists bellhop_attempts (
	job        bigint     not null,
	claim      bigint     not null,
	generation bigint     not null,
	number     bigint     not null,
	process    binary(16) not null,
	exchange   binary(16) not null,
	outcome    tinyint    not null,
	due        bigint     not null,
	claimed_at bigint     not null,
	started    bigint,
	ended      bigint,
	failure    mediumblob, -- JSON object
	log        mediumblob, -- JSON object
	primary key (job, claim)
) engine = InnoDB;

-- A key is held by the live job that it names.
create table if not exists bellhop_unique_keys (
	unique_key varbinary(512) not null primary key,
	job        bigint         not null,
	key bellhop_unique_keys_job (job)
) engine = InnoDB;

-- Permanent rows. Who takes a unique key first locks the row that the key is
-- assigned to: several who wait for one key itself would end in a deadlock.
create table if not exists bellhop_key_locks (
	slot smallint not null primary key
) engine = InnoDB;
insert ignore into bellhop_key_locks (slot)
	with recursive n (slot) as (select 0 union all select slot + 1 from n where slot < 999)
	select slot from n;

-- Exchanges that made claims, so that a repeated one is known.
create table if not exists bellhop_exchanges (
	id      binary(16) not null primary key,
	made_at bigint     not null
) engine = InnoDB;

create table if not exists bellhop_queues (
	name   varbinary(255) not null primary key,
	paused tinyint        not null
) engine = InnoDB;

-- A row with gone_at is of a process that was swept or has left, and cannot come back.
create table if not exists bellhop_processes (
	id         binary(16) not null primary key,
	name       mediumblob not null,
	host       mediumblob not null,
	pid        bigint     not null,
	version    mediumblob not null,
	started_at bigint,
	queues     mediumblob, -- JSON array
	kinds      mediumblob, -- JSON array
	slots      bigint     not null,
	busy       bigint     not null,
	beat_at    bigint     not null,
	beats      bigint     not null,
	lease      bigint     not null, -- microseconds
	gone_at    bigint
) engine = InnoDB;

create table if not exists bellhop_records (
	space      varbinary(512)  not null,
	name       varbinary(2048) not null,
	value      longblob,
	version    bigint          not null,
	expires_at bigint,
	primary key (space, name),
	key bellhop_records_expires (expires_at)
) engine = InnoDB;

create table if not exists bellhop_counters (
	name  varbinary(64) not null primary key,
	value bigint        not null
) engine = InnoDB;
insert ignore into bellhop_counters (name, value) values ('record', 0);
