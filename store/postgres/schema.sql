-- The newest schema, for review. Made by: go test ./store/postgres -run TestSchemaDump -update

table bellhop_attempts column job bigint not null
table bellhop_attempts column claim bigint not null
table bellhop_attempts column due bigint not null
table bellhop_attempts column claimed_at bigint not null
table bellhop_attempts column started bigint
table bellhop_attempts column ended bigint
table bellhop_attempts column generation integer not null
table bellhop_attempts column number integer not null
table bellhop_attempts column outcome smallint not null
table bellhop_attempts column process uuid not null
table bellhop_attempts column exchange uuid not null
table bellhop_attempts column failure text
table bellhop_attempts column log bytea
table bellhop_attempts constraint bellhop_attempts_pkey PRIMARY KEY (job, claim)
CREATE UNIQUE INDEX bellhop_attempts_pkey ON bellhop_attempts USING btree (job, claim)
table bellhop_blocked column job bigint not null
table bellhop_blocked column due bigint not null
table bellhop_blocked column claim bigint not null default 0
table bellhop_blocked column waits integer not null default 0
table bellhop_blocked column generation integer not null default 0
table bellhop_blocked column attempt integer not null default 0
table bellhop_blocked column failures integer not null default 0
table bellhop_blocked column crashes integer not null default 0
table bellhop_blocked column suspect smallint not null default 0
table bellhop_blocked column cancel smallint not null default 0
table bellhop_blocked column queue text collate C not null
table bellhop_blocked column reason text
table bellhop_blocked column progress bytea
table bellhop_blocked constraint bellhop_blocked_pkey PRIMARY KEY (job)
CREATE UNIQUE INDEX bellhop_blocked_pkey ON bellhop_blocked USING btree (job)
CREATE INDEX bellhop_blocked_queue ON bellhop_blocked USING btree (queue)
table bellhop_counters column name text collate C not null
table bellhop_counters column value bigint not null
table bellhop_counters constraint bellhop_counters_pkey PRIMARY KEY (name)
CREATE UNIQUE INDEX bellhop_counters_pkey ON bellhop_counters USING btree (name)
table bellhop_dead column job bigint not null
table bellhop_dead column finished_at bigint not null
table bellhop_dead column expires_at bigint
table bellhop_dead column due bigint not null
table bellhop_dead column claim bigint not null
table bellhop_dead column generation integer not null
table bellhop_dead column attempt integer not null
table bellhop_dead column failures integer not null
table bellhop_dead column crashes integer not null
table bellhop_dead column suspect smallint not null
table bellhop_dead column queue text collate C not null
table bellhop_dead column reason text
table bellhop_dead column progress bytea
table bellhop_dead column result bytea
table bellhop_dead constraint bellhop_dead_pkey PRIMARY KEY (job)
CREATE UNIQUE INDEX bellhop_dead_pkey ON bellhop_dead USING btree (job)
CREATE INDEX bellhop_dead_queue ON bellhop_dead USING btree (queue)
CREATE INDEX bellhop_dead_expires ON bellhop_dead USING btree (expires_at) WHERE (expires_at IS NOT NULL)
table bellhop_exchanges column id uuid not null
table bellhop_exchanges column made_at bigint not null
table bellhop_exchanges column process uuid
table bellhop_exchanges column jobs bigint[]
table bellhop_exchanges constraint bellhop_exchanges_pkey PRIMARY KEY (id)
CREATE INDEX bellhop_exchanges_made ON bellhop_exchanges USING btree (made_at)
CREATE UNIQUE INDEX bellhop_exchanges_pkey ON bellhop_exchanges USING btree (id)
CREATE INDEX bellhop_exchanges_process ON bellhop_exchanges USING btree (process)
table bellhop_finished column job bigint not null
table bellhop_finished column finished_at bigint not null
table bellhop_finished column expires_at bigint
table bellhop_finished column due bigint not null
table bellhop_finished column claim bigint not null
table bellhop_finished column claimed_at bigint
table bellhop_finished column started bigint
table bellhop_finished column ended bigint
table bellhop_finished column number integer
table bellhop_finished column generation integer not null
table bellhop_finished column attempt integer not null
table bellhop_finished column failures integer not null
table bellhop_finished column crashes integer not null
table bellhop_finished column state smallint not null
table bellhop_finished column suspect smallint not null
table bellhop_finished column process uuid
table bellhop_finished column exchange uuid
table bellhop_finished column reason text
table bellhop_finished column progress bytea
table bellhop_finished column result bytea
table bellhop_finished column log bytea
table bellhop_finished constraint bellhop_finished_pkey PRIMARY KEY (job)
CREATE UNIQUE INDEX bellhop_finished_pkey ON bellhop_finished USING btree (job)
CREATE INDEX bellhop_finished_expires ON bellhop_finished USING btree (expires_at) WHERE (expires_at IS NOT NULL)
sequence bellhop_job_numbers
table bellhop_jobs column job bigint not null
table bellhop_jobs column enqueued_at bigint not null
table bellhop_jobs column run_at bigint
table bellhop_jobs column timeout_ns bigint
table bellhop_jobs column retention_ns bigint
table bellhop_jobs column attempts integer not null
table bellhop_jobs column priority smallint not null
table bellhop_jobs column id uuid not null
table bellhop_jobs column kind text collate C not null
table bellhop_jobs column queue text collate C not null
table bellhop_jobs column unique_key text collate C
table bellhop_jobs column tags text
table bellhop_jobs column meta text
table bellhop_jobs column args bytea
table bellhop_jobs constraint bellhop_jobs_pkey PRIMARY KEY (job)
CREATE UNIQUE INDEX bellhop_jobs_id ON bellhop_jobs USING btree (id)
CREATE UNIQUE INDEX bellhop_jobs_pkey ON bellhop_jobs USING btree (job)
table bellhop_processes column id uuid not null
table bellhop_processes column name text not null
table bellhop_processes column host text not null
table bellhop_processes column pid bigint not null
table bellhop_processes column version text not null
table bellhop_processes column started_at bigint
table bellhop_processes column queues text
table bellhop_processes column kinds text
table bellhop_processes column slots bigint not null
table bellhop_processes column busy bigint not null
table bellhop_processes column beat_at bigint not null
table bellhop_processes column beats bigint not null
table bellhop_processes column lease bigint not null
table bellhop_processes column gone_at bigint
table bellhop_processes constraint bellhop_processes_pkey PRIMARY KEY (id)
CREATE UNIQUE INDEX bellhop_processes_pkey ON bellhop_processes USING btree (id)
table bellhop_queues column name text collate C not null
table bellhop_queues column paused smallint not null
table bellhop_queues constraint bellhop_queues_pkey PRIMARY KEY (name)
CREATE UNIQUE INDEX bellhop_queues_pkey ON bellhop_queues USING btree (name)
table bellhop_ready column due bigint not null
table bellhop_ready column job bigint not null
table bellhop_ready column claim bigint not null default 0
table bellhop_ready column generation integer not null default 0
table bellhop_ready column attempt integer not null default 0
table bellhop_ready column failures integer not null default 0
table bellhop_ready column crashes integer not null default 0
table bellhop_ready column priority smallint not null
table bellhop_ready column suspect smallint not null default 0
table bellhop_ready column cancel smallint not null default 0
table bellhop_ready column queue text collate C not null
table bellhop_ready column kind text collate C not null
table bellhop_ready column reason text
table bellhop_ready column progress bytea
table bellhop_ready constraint bellhop_ready_pkey PRIMARY KEY (queue, priority, due, job)
CREATE UNIQUE INDEX bellhop_ready_job ON bellhop_ready USING btree (job)
CREATE UNIQUE INDEX bellhop_ready_pkey ON bellhop_ready USING btree (queue, priority, due, job)
table bellhop_records column version bigint not null
table bellhop_records column expires_at bigint
table bellhop_records column space text collate C not null
table bellhop_records column name text collate C not null
table bellhop_records column value bytea
table bellhop_records constraint bellhop_records_pkey PRIMARY KEY (space, name)
CREATE UNIQUE INDEX bellhop_records_pkey ON bellhop_records USING btree (space, name)
CREATE INDEX bellhop_records_expires ON bellhop_records USING btree (expires_at) WHERE (expires_at IS NOT NULL)
table bellhop_running column job bigint not null
table bellhop_running column claim bigint not null
table bellhop_running column due bigint not null
table bellhop_running column claimed_at bigint not null
table bellhop_running column generation integer not null
table bellhop_running column attempt integer not null
table bellhop_running column failures integer not null
table bellhop_running column crashes integer not null
table bellhop_running column suspect smallint not null
table bellhop_running column cancel smallint not null
table bellhop_running column started smallint not null default 0
table bellhop_running column exchange uuid not null
table bellhop_running column process uuid not null
table bellhop_running column queue text collate C not null
table bellhop_running column reason text
table bellhop_running column progress bytea
table bellhop_running constraint bellhop_running_pkey PRIMARY KEY (job)
CREATE UNIQUE INDEX bellhop_running_pkey ON bellhop_running USING btree (job)
CREATE INDEX bellhop_running_cancel ON bellhop_running USING btree (process) WHERE (cancel = 1)
table bellhop_scheduled column job bigint not null
table bellhop_scheduled column due bigint not null
table bellhop_scheduled column claim bigint not null default 0
table bellhop_scheduled column generation integer not null default 0
table bellhop_scheduled column attempt integer not null default 0
table bellhop_scheduled column failures integer not null default 0
table bellhop_scheduled column crashes integer not null default 0
table bellhop_scheduled column suspect smallint not null default 0
table bellhop_scheduled column cancel smallint not null default 0
table bellhop_scheduled column queue text collate C not null
table bellhop_scheduled column reason text
table bellhop_scheduled column progress bytea
table bellhop_scheduled constraint bellhop_scheduled_pkey PRIMARY KEY (job)
CREATE INDEX bellhop_scheduled_due ON bellhop_scheduled USING btree (due, job)
CREATE UNIQUE INDEX bellhop_scheduled_pkey ON bellhop_scheduled USING btree (job)
CREATE INDEX bellhop_scheduled_queue ON bellhop_scheduled USING btree (queue, due)
table bellhop_schema column version integer not null
table bellhop_schema column name character varying(100) not null
table bellhop_schema column checksum character(64) not null
table bellhop_schema column applied_at bigint not null
table bellhop_schema constraint bellhop_schema_pkey PRIMARY KEY (version)
CREATE UNIQUE INDEX bellhop_schema_pkey ON bellhop_schema USING btree (version)
table bellhop_unique_keys column unique_key text collate C not null
table bellhop_unique_keys column job bigint not null
table bellhop_unique_keys constraint bellhop_unique_keys_pkey PRIMARY KEY (unique_key)
CREATE INDEX bellhop_unique_keys_job ON bellhop_unique_keys USING btree (job)
CREATE UNIQUE INDEX bellhop_unique_keys_pkey ON bellhop_unique_keys USING btree (unique_key)
