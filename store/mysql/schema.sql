-- The newest schema, for review. Made by: go test ./store/mysql -run TestSchemaDump -update

CREATE TABLE `bellhop_attempts` (
  `job` bigint(20) NOT NULL,
  `claim` bigint(20) NOT NULL,
  `generation` bigint(20) NOT NULL,
  `number` bigint(20) NOT NULL,
  `process` binary(16) NOT NULL,
  `exchange` binary(16) NOT NULL,
  `outcome` tinyint(4) NOT NULL,
  `due` bigint(20) NOT NULL,
  `claimed_at` bigint(20) NOT NULL,
  `started` bigint(20) DEFAULT NULL,
  `ended` bigint(20) DEFAULT NULL,
  `failure` mediumblob DEFAULT NULL,
  `log` mediumblob DEFAULT NULL,
  PRIMARY KEY (`job`,`claim`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_blocked` (
  `job` bigint(20) NOT NULL,
  `queue` varbinary(255) NOT NULL,
  `due` bigint(20) NOT NULL,
  `waits` bigint(20) NOT NULL DEFAULT 0,
  `generation` bigint(20) NOT NULL DEFAULT 0,
  `claim` bigint(20) NOT NULL DEFAULT 0,
  `attempt` bigint(20) NOT NULL DEFAULT 0,
  `failures` bigint(20) NOT NULL DEFAULT 0,
  `crashes` bigint(20) NOT NULL DEFAULT 0,
  `suspect` tinyint(4) NOT NULL DEFAULT 0,
  `cancel` tinyint(4) NOT NULL DEFAULT 0,
  `reason` mediumblob DEFAULT NULL,
  `progress` mediumblob DEFAULT NULL,
  PRIMARY KEY (`job`),
  KEY `bellhop_blocked_queue` (`queue`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_counters` (
  `name` varbinary(64) NOT NULL,
  `value` bigint(20) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_dead` (
  `job` bigint(20) NOT NULL,
  `queue` varbinary(255) NOT NULL,
  `finished_at` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `due` bigint(20) NOT NULL,
  `generation` bigint(20) NOT NULL,
  `claim` bigint(20) NOT NULL,
  `attempt` bigint(20) NOT NULL,
  `failures` bigint(20) NOT NULL,
  `crashes` bigint(20) NOT NULL,
  `suspect` tinyint(4) NOT NULL,
  `reason` mediumblob DEFAULT NULL,
  `progress` mediumblob DEFAULT NULL,
  `result` mediumblob DEFAULT NULL,
  PRIMARY KEY (`job`),
  KEY `bellhop_dead_queue` (`queue`),
  KEY `bellhop_dead_expires` (`expires_at`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_exchanges` (
  `id` binary(16) NOT NULL,
  `made_at` bigint(20) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_finished` (
  `job` bigint(20) NOT NULL,
  `state` tinyint(4) NOT NULL,
  `finished_at` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  `due` bigint(20) NOT NULL,
  `generation` bigint(20) NOT NULL,
  `claim` bigint(20) NOT NULL,
  `attempt` bigint(20) NOT NULL,
  `failures` bigint(20) NOT NULL,
  `crashes` bigint(20) NOT NULL,
  `suspect` tinyint(4) NOT NULL,
  `number` bigint(20) DEFAULT NULL,
  `process` binary(16) DEFAULT NULL,
  `exchange` binary(16) DEFAULT NULL,
  `claimed_at` bigint(20) DEFAULT NULL,
  `started` bigint(20) DEFAULT NULL,
  `ended` bigint(20) DEFAULT NULL,
  `reason` mediumblob DEFAULT NULL,
  `progress` mediumblob DEFAULT NULL,
  `result` mediumblob DEFAULT NULL,
  `log` mediumblob DEFAULT NULL,
  PRIMARY KEY (`job`),
  KEY `bellhop_finished_expires` (`expires_at`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_jobs` (
  `job` bigint(20) NOT NULL,
  `id` binary(16) NOT NULL,
  `kind` varbinary(255) NOT NULL,
  `queue` varbinary(255) NOT NULL,
  `priority` int(11) NOT NULL,
  `run_at` bigint(20) DEFAULT NULL,
  `attempts` bigint(20) NOT NULL,
  `timeout_ns` bigint(20) DEFAULT NULL,
  `retention_ns` bigint(20) DEFAULT NULL,
  `unique_key` varbinary(512) DEFAULT NULL,
  `tags` mediumblob DEFAULT NULL,
  `meta` mediumblob DEFAULT NULL,
  `enqueued_at` bigint(20) NOT NULL,
  `args` mediumblob DEFAULT NULL,
  PRIMARY KEY (`job`),
  UNIQUE KEY `bellhop_jobs_id` (`id`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_key_locks` (
  `slot` smallint(6) NOT NULL,
  PRIMARY KEY (`slot`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_processes` (
  `id` binary(16) NOT NULL,
  `name` mediumblob NOT NULL,
  `host` mediumblob NOT NULL,
  `pid` bigint(20) NOT NULL,
  `version` mediumblob NOT NULL,
  `started_at` bigint(20) DEFAULT NULL,
  `queues` mediumblob DEFAULT NULL,
  `kinds` mediumblob DEFAULT NULL,
  `slots` bigint(20) NOT NULL,
  `busy` bigint(20) NOT NULL,
  `beat_at` bigint(20) NOT NULL,
  `beats` bigint(20) NOT NULL,
  `lease` bigint(20) NOT NULL,
  `gone_at` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_queues` (
  `name` varbinary(255) NOT NULL,
  `paused` tinyint(4) NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_ready` (
  `queue` varbinary(255) NOT NULL,
  `priority` int(11) NOT NULL,
  `due` bigint(20) NOT NULL,
  `job` bigint(20) NOT NULL,
  `kind` varbinary(255) NOT NULL,
  `generation` bigint(20) NOT NULL DEFAULT 0,
  `claim` bigint(20) NOT NULL DEFAULT 0,
  `attempt` bigint(20) NOT NULL DEFAULT 0,
  `failures` bigint(20) NOT NULL DEFAULT 0,
  `crashes` bigint(20) NOT NULL DEFAULT 0,
  `suspect` tinyint(4) NOT NULL DEFAULT 0,
  `cancel` tinyint(4) NOT NULL DEFAULT 0,
  `reason` mediumblob DEFAULT NULL,
  `progress` mediumblob DEFAULT NULL,
  PRIMARY KEY (`queue`,`priority`,`due`,`job`),
  UNIQUE KEY `bellhop_ready_job` (`job`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_records` (
  `space` varbinary(512) NOT NULL,
  `name` varbinary(2048) NOT NULL,
  `value` longblob DEFAULT NULL,
  `version` bigint(20) NOT NULL,
  `expires_at` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`space`,`name`),
  KEY `bellhop_records_expires` (`expires_at`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_running` (
  `job` bigint(20) NOT NULL,
  `queue` varbinary(255) NOT NULL,
  `exchange` binary(16) NOT NULL,
  `process` binary(16) NOT NULL,
  `claimed_at` bigint(20) NOT NULL,
  `due` bigint(20) NOT NULL,
  `generation` bigint(20) NOT NULL,
  `claim` bigint(20) NOT NULL,
  `attempt` bigint(20) NOT NULL,
  `failures` bigint(20) NOT NULL,
  `crashes` bigint(20) NOT NULL,
  `suspect` tinyint(4) NOT NULL,
  `cancel` tinyint(4) NOT NULL,
  `started` tinyint(4) NOT NULL DEFAULT 0,
  `reason` mediumblob DEFAULT NULL,
  `progress` mediumblob DEFAULT NULL,
  `touched` bigint(20) NOT NULL DEFAULT 0,
  PRIMARY KEY (`job`),
  KEY `bellhop_running_process` (`process`,`cancel`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_scheduled` (
  `job` bigint(20) NOT NULL,
  `queue` varbinary(255) NOT NULL,
  `due` bigint(20) NOT NULL,
  `generation` bigint(20) NOT NULL DEFAULT 0,
  `claim` bigint(20) NOT NULL DEFAULT 0,
  `attempt` bigint(20) NOT NULL DEFAULT 0,
  `failures` bigint(20) NOT NULL DEFAULT 0,
  `crashes` bigint(20) NOT NULL DEFAULT 0,
  `suspect` tinyint(4) NOT NULL DEFAULT 0,
  `cancel` tinyint(4) NOT NULL DEFAULT 0,
  `reason` mediumblob DEFAULT NULL,
  `progress` mediumblob DEFAULT NULL,
  PRIMARY KEY (`job`),
  KEY `bellhop_scheduled_due` (`due`,`job`),
  KEY `bellhop_scheduled_queue` (`queue`,`due`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_schema` (
  `version` int(11) NOT NULL,
  `name` varchar(100) NOT NULL,
  `checksum` char(64) NOT NULL,
  `applied_at` bigint(20) NOT NULL,
  PRIMARY KEY (`version`)
) ENGINE=InnoDB;

CREATE TABLE `bellhop_unique_keys` (
  `unique_key` varbinary(512) NOT NULL,
  `job` bigint(20) NOT NULL,
  PRIMARY KEY (`unique_key`),
  KEY `bellhop_unique_keys_job` (`job`)
) ENGINE=InnoDB;

