package mysql

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
		s.lookServer, s.lookDurability, s.lookReadOnly, s.lookPacket, s.lookSession, s.lookClock, s.lookRights, s.lookTransactions)
}

func (s *Store) lookServer(context.Context) ([]bellhop.Finding, error) {
	if s.server.mariaDB() {
		return sqlstore.Found(sqlstore.LevelOK, "server", "", "MariaDB %s", s.server.version)
	}
	return sqlstore.Found(sqlstore.LevelWarning, "server", "report what does not work as it should",
		"MySQL %s: the statements are written for it, but Bellhop is tested on MariaDB only", s.server.version)
}

func (s *Store) lookDurability(ctx context.Context) ([]bellhop.Finding, error) {
	now, err := look(ctx, s.database.pool)
	switch {
	case err != nil:
		return nil, err
	case now.flush != 1:
		return sqlstore.Found(sqlstore.LevelWarning, "durability", "set innodb_flush_log_at_trx_commit=1 if no accepted job may be lost", "%s", now.durability())
	case now.binlog && now.syncLog != 1:
		return sqlstore.Found(sqlstore.LevelWarning, "durability", "set sync_binlog=1 if a replica may have to take over", "%s", now.durability())
	}
	return sqlstore.Found(sqlstore.LevelOK, "durability", "", "%s", now.durability())
}

func (s *Store) lookReadOnly(ctx context.Context) ([]bellhop.Finding, error) {
	now, err := look(ctx, s.database.pool)
	if err == nil && now.readOnly {
		return sqlstore.Found(sqlstore.LevelProblem, "read-only", "use the address of the primary", "the server takes no writes")
	}
	return nil, err
}

// enoughPacket takes a job with arguments at their largest, whatever is in them.
const enoughPacket = 2*bellhop.MaxArgs + 64<<10

func (s *Store) lookPacket(context.Context) ([]bellhop.Finding, error) {
	if s.server.packet < enoughPacket {
		return sqlstore.Found(sqlstore.LevelWarning, "packet", fmt.Sprintf("set max_allowed_packet to %d or more", enoughPacket),
			"the server takes statements of %s: jobs with large arguments are refused", size(s.server.packet))
	}
	return sqlstore.Found(sqlstore.LevelOK, "packet", "", "the server takes statements of %s", size(s.server.packet))
}

func (s *Store) lookSession(ctx context.Context) ([]bellhop.Finding, error) {
	if s.database.own {
		return nil, nil
	}
	var mode, charset string
	if err := s.database.pool.QueryRowContext(ctx, `select @@sql_mode, @@character_set_client`).Scan(&mode, &charset); err != nil {
		return nil, err
	}
	if err := checkSession(mode, charset); err != nil {
		return sqlstore.Found(sqlstore.LevelProblem, "sessions", "change the DSN of the pool", "%v", err)
	}
	return sqlstore.Found(sqlstore.LevelOK, "sessions", "", "the pool's sessions are strict and speak %s", charset)
}

// muchAhead is by how much two clocks may differ without being remarkable. All
// times that count are the server's.
const muchAhead = 5 * time.Second

func (s *Store) lookClock(ctx context.Context) ([]bellhop.Finding, error) {
	before := time.Now()
	now, err := s.Ping(ctx)
	if err != nil {
		return nil, err
	}
	apart := now.Sub(before.Add(time.Since(before) / 2)).Round(time.Millisecond)
	if apart.Abs() > muchAhead {
		return sqlstore.Found(sqlstore.LevelWarning, "clock", "set both clocks by a time server", "the server's clock and this machine's are %v apart", apart)
	}
	return sqlstore.Found(sqlstore.LevelOK, "clock", "", "the server's and this machine's are %v apart", apart)
}

// tables are those that the store works with, in the order of the schema.
var tables = strings.Fields(`jobs ready scheduled blocked running finished dead attempts unique_keys key_locks exchanges queues processes records counters`)

// lookRights tries statements that change nothing.
func (s *Store) lookRights(ctx context.Context) ([]bellhop.Finding, error) {
	var lacking []string
	for _, name := range tables {
		table := "bellhop_" + name
		for right, text := range map[string]string{
			"select": `select 1 from ` + table + ` limit 0`,
			"insert": `insert into ` + table + ` select * from ` + table + ` limit 0`,
			"delete": `delete from ` + table + ` limit 0`,
		} {
			if name == "key_locks" && right != "select" {
				continue
			}
			if _, err := s.database.pool.ExecContext(ctx, text); codeOf(err) == codeNoRight {
				lacking = append(lacking, right+" on "+table)
			}
		}
	}
	if len(lacking) > 0 {
		return sqlstore.Found(sqlstore.LevelProblem, "rights", "grant the rights that docs/mysql.md names", "the user lacks %s", strings.Join(lacking, ", "))
	}
	return sqlstore.Found(sqlstore.LevelOK, "rights", "", "the user may read and write all tables")
}

// longTransaction is for how long a transaction may be open without being remarkable.
const longTransaction = time.Minute

// lookTransactions names transactions that hold rows, or keep deleted ones from
// being cleared away.
func (s *Store) lookTransactions(ctx context.Context) (findings []bellhop.Finding, err error) {
	rows, err := s.database.pool.QueryContext(ctx, `select t.trx_mysql_thread_id, timestampdiff(second, t.trx_started, now()), t.trx_rows_locked
		from information_schema.innodb_trx t where t.trx_started < now() - interval ? second order by t.trx_started limit 3`, int(longTransaction.Seconds()))
	if codeOf(err) == codeNoPrivilege {
		return sqlstore.Found(sqlstore.LevelOK, "transactions", "", "not looked at: that takes the right PROCESS")
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, seconds, locked int64
		if err := rows.Scan(&id, &seconds, &locked); err != nil {
			return nil, err
		}
		more, _ := sqlstore.Found(sqlstore.LevelWarning, "transactions", fmt.Sprintf("end it, or have the server do so: KILL %d", id),
			"connection %d has had a transaction open for %v, with %d rows locked: it can hold up jobs, and deleted rows pile up", id, time.Duration(seconds)*time.Second, locked)
		findings = append(findings, more...)
	}
	if len(findings) == 0 && rows.Err() == nil {
		return sqlstore.Found(sqlstore.LevelOK, "transactions", "", "none has been open for long")
	}
	return findings, rows.Err()
}

// size prints a size for people.
func size(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
