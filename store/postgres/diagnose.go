package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Diagnose implements [bellhop.Diagnoser].
func (s *Store) Diagnose(ctx context.Context) ([]bellhop.Finding, error) {
	return s.Store.Diagnose(ctx, s.migrations,
		s.lookServer, s.lookDurability, s.lookRights, s.lookOldest, s.lookBlocking, s.lookBloat, s.lookLists, s.lookClock, s.lookListening)
}

// oldest is the first release whose SQL the statements need; they are tested on 15.
const oldest = 14_00_00

func (s *Store) lookServer(ctx context.Context) ([]bellhop.Finding, error) {
	var version, text string
	var number int
	var standby, readOnly bool
	err := s.database.pool.QueryRow(ctx, `select current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
		current_setting('default_transaction_read_only')::bool`).Scan(&number, &version, &standby, &readOnly)
	switch text = "PostgreSQL " + version; {
	case err != nil:
		return nil, err
	case standby, readOnly:
		return sqlstore.Found(sqlstore.LevelProblem, "server", "name the primary in the address, or add target_session_attrs=read-write", "%s takes no writes", text)
	case number < oldest:
		return sqlstore.Found(sqlstore.LevelProblem, "server", "use PostgreSQL 14 or newer", "%s is too old", text)
	}
	return sqlstore.Found(sqlstore.LevelOK, "server", "", "%s, schema %q", text, s.settings.schema)
}

func (s *Store) lookDurability(ctx context.Context) ([]bellhop.Finding, error) {
	var sync, fsync, pages string
	err := s.database.pool.QueryRow(ctx, `select current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')`).
		Scan(&sync, &fsync, &pages)
	switch {
	case err != nil:
		return nil, err
	case fsync == "off" || pages == "off":
		return sqlstore.Found(sqlstore.LevelProblem, "durability", "switch fsync and full_page_writes on", "a crash of the machine may damage the database (fsync is %s, full_page_writes %s)", fsync, pages)
	case sync == "off":
		return sqlstore.Found(sqlstore.LevelWarning, "durability", "set synchronous_commit=on for this role if no accepted job may be lost", "a crash of the server may cost the commits of the last moments (synchronous_commit is off)")
	}
	return sqlstore.Found(sqlstore.LevelOK, "durability", "", "%s (synchronous_commit is %s)", s.Capabilities().Durability, sync)
}

// lookRights looks for what the role of daily work must be allowed.
func (s *Store) lookRights(ctx context.Context) ([]bellhop.Finding, error) {
	var role string
	var missing []string
	err := s.database.pool.QueryRow(ctx, `select current_user, coalesce(array_agg(c.relname || ' (' || r || ')' order by c.relname, r) filter (where
			case when c.relkind = 'S' then r = 'usage' and not has_sequence_privilege(c.oid, r)
			else r <> 'usage' and (c.relname <> 'bellhop_schema' or r = 'select') and not has_table_privilege(c.oid, r) end), '{}')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
			cross join unnest(array['select', 'insert', 'update', 'delete', 'usage']) as r
		where n.nspname = $1 and c.relname like 'bellhop\_%' and c.relkind in ('r', 'S')`, s.settings.schema).Scan(&role, &missing)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return sqlstore.Found(sqlstore.LevelProblem, "rights", "give the role the grants that docs/postgres.md lists", "the role %s lacks rights: %s", role, strings.Join(missing, ", "))
	}
	return sqlstore.Found(sqlstore.LevelOK, "rights", "", "the role %s has all that daily work needs", role)
}

const (
	oldSnapshot = 10 * time.Minute
	longHold    = 30 * time.Second
)

// lookOldest looks for the oldest snapshot, which keeps deleted rows in place.
func (s *Store) lookOldest(ctx context.Context) ([]bellhop.Finding, error) {
	var seconds float64
	var who string
	err := s.database.pool.QueryRow(ctx, `select coalesce(extract(epoch from max(now() - xact_start)), 0)::float8,
			coalesce((array_agg(format('process %s of %s (%s)', pid, usename, coalesce(nullif(application_name, ''), 'unnamed')) order by xact_start))[1], '')
		from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid() and datname = current_database()`).Scan(&seconds, &who)
	if err != nil {
		return nil, err
	}
	age := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	if age > oldSnapshot {
		return sqlstore.Found(sqlstore.LevelWarning, "old snapshot", "end that transaction: until then VACUUM cannot clean up, and tables grow", "%s has a transaction open since %v", who, age)
	}
	return sqlstore.Found(sqlstore.LevelOK, "old snapshot", "", "the oldest transaction is %v old", age)
}

// lookBlocking names transactions of users that hold rows of ours: nobody takes
// such a job back before they end.
func (s *Store) lookBlocking(ctx context.Context) (found []bellhop.Finding, err error) {
	rows, err := s.database.pool.Query(ctx, `select distinct a.pid, a.usename, extract(epoch from now() - a.xact_start)::float8
		from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace join pg_stat_activity a on a.pid = l.pid
		where n.nspname = $1 and c.relname in ('bellhop_running', 'bellhop_unique_keys') and l.mode = 'RowExclusiveLock' and l.database = (select oid from pg_database where datname = current_database())
			and a.xact_start < now() - $2::float8 * interval '1 second'`, s.settings.schema, longHold.Seconds())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		var user string
		var seconds float64
		if err := rows.Scan(&pid, &user, &seconds); err != nil {
			return nil, err
		}
		found = append(found, bellhop.Finding{
			Level: sqlstore.LevelWarning, Subject: "long transaction", Advice: fmt.Sprintf("end it, if need be by select pg_terminate_backend(%d)", pid),
			Detail: fmt.Sprintf("process %d of %s holds jobs or unique keys in a transaction open since %v", pid, user, time.Duration(seconds*float64(time.Second)).Round(time.Second)),
		})
	}
	return found, rows.Err()
}

// muchDead is how many dead rows call for a look, if they are more than the living as well.
const muchDead = 200_000

func (s *Store) lookBloat(ctx context.Context) ([]bellhop.Finding, error) {
	var live, dead, size int64
	err := s.database.pool.QueryRow(ctx, `select coalesce(sum(n_live_tup), 0)::bigint, coalesce(sum(n_dead_tup), 0)::bigint, coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
		from pg_stat_user_tables where schemaname = $1 and relname in ('bellhop_ready', 'bellhop_running')`, s.settings.schema).Scan(&live, &dead, &size)
	if err != nil {
		return nil, err
	}
	if dead > muchDead && dead > live {
		return sqlstore.Found(sqlstore.LevelWarning, "dead rows", "see that autovacuum runs, and that no old transaction keeps it from cleaning up",
			"ready and running hold %d dead rows beside %d living, in %d MiB", dead, live, size>>20)
	}
	return sqlstore.Found(sqlstore.LevelOK, "dead rows", "", "ready and running hold %d dead rows beside %d living, in %d MiB", dead, live, size>>20)
}

// lookLists looks for running jobs that no sweep would find.
func (s *Store) lookLists(ctx context.Context) ([]bellhop.Finding, error) {
	var n int64
	if err := s.database.pool.QueryRow(ctx, s.database.dialect.SQL(countMissing)).Scan(&n); err != nil {
		return nil, err
	}
	if n > 0 {
		return sqlstore.Found(sqlstore.LevelWarning, "lists", "run this release everywhere, and at least one worker: pruning lists them within a minute",
			"%d running jobs are in the list of no exchange, as those of a worker of an older release: if it dies, no sweep finds them", n)
	}
	return sqlstore.Found(sqlstore.LevelOK, "lists", "", "each running job is in the list of its exchange")
}

// muchDrift is more than a network's delay explains.
const muchDrift = 5 * time.Second

func (s *Store) lookClock(ctx context.Context) ([]bellhop.Finding, error) {
	before := time.Now()
	var now time.Time
	if err := s.database.pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return nil, err
	}
	after := time.Now()
	drift := time.Duration(0)
	if now.Before(before) {
		drift = now.Sub(before)
	} else if now.After(after) {
		drift = now.Sub(after)
	}
	if drift.Abs() > muchDrift {
		return sqlstore.Found(sqlstore.LevelWarning, "clock", "set both clocks by NTP; the server's counts", "the server's clock differs from this machine's by %v", drift.Round(time.Second))
	}
	return sqlstore.Found(sqlstore.LevelOK, "clock", "", "the server's clock agrees with this machine's")
}

// lookListening sends itself a notification.
func (s *Store) lookListening(ctx context.Context) ([]bellhop.Finding, error) {
	if s.sender == nil {
		return sqlstore.Found(sqlstore.LevelOK, "notifications", "", "off behind a pooler in transaction mode: workers find jobs at their next poll (listen= names a direct way)")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := s.listening(ctx)
	if err == nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		if _, err = s.database.pool.Exec(ctx, `select pg_notify($1, $2)`, s.sender.channel, payload("doctor", "", false)); err == nil {
			_, err = conn.WaitForNotification(ctx)
		}
	}
	if err != nil {
		return sqlstore.Found(sqlstore.LevelWarning, "notifications", "workers find jobs at their next poll; behind a pooler say pooler=transaction and listen=", "none has come: %v", err)
	}
	return sqlstore.Found(sqlstore.LevelOK, "notifications", "", "they come")
}
