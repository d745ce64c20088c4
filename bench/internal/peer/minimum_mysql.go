package peer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/go-sql-driver/mysql"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

func init() {
	least := Contender{
		Name: "minimum", Store: "mysql", Title: "Hand-written minimum", Family: "minimum", Version: "in bench", Keeps: true,
		Settings: "ready, running, done and attempts tables, READ COMMITTED, claim and acknowledge 1000 in one transaction, 2 workers, deadlocks tried again; " +
			"bulk: 1000 in an insert from 2 goroutines",
		BulkCallers: 2, BulkSize: 1000, Open: openMinimumMySQL(true),
	}
	bare := least
	bare.Name, bare.Title, bare.Keeps = "minimum-drop", "Hand-written minimum that keeps nothing", false
	bare.Settings = "as the other, but acknowledging deletes the job and nothing is recorded"
	bare.Open = openMinimumMySQL(false)
	add(least, bare)
}

// minimumMySQL is a queue of a few tables: no retries, no due times, no leases.
type minimumMySQL struct {
	db    *sql.DB
	keeps bool
}

func openMinimumMySQL(keeps bool) func(context.Context, drill.Order) (Session, error) {
	return func(ctx context.Context, o drill.Order) (Session, error) {
		u, err := url.Parse(o.Address)
		if err != nil {
			return nil, err
		}
		cfg := mysql.NewConfig()
		cfg.Net, cfg.Addr, cfg.User, cfg.DBName = "tcp", u.Host, u.User.Username(), strings.TrimPrefix(u.Path, "/")
		cfg.Passwd, _ = u.User.Password()
		cfg.InterpolateParams = true
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, err
		}
		db := sql.OpenDB(connector)
		db.SetMaxOpenConns(max(o.Callers, 4))
		db.SetMaxIdleConns(max(o.Callers, 4))
		for _, table := range []string{
			"ready (id bigint primary key, queue varchar(128) not null, priority int not null, kind varchar(128) not null, args blob not null)",
			"running (id bigint primary key, queue varchar(128) not null, priority int not null, kind varchar(128) not null, args blob not null, claimed_at bigint not null)",
			"done (id bigint primary key, queue varchar(128) not null, priority int not null, kind varchar(128) not null, args blob not null, finished_at bigint not null)",
			"attempts (id bigint not null, number int not null, claimed_at bigint not null, finished_at bigint not null, outcome int not null, primary key (id, number))",
		} {
			if _, err := db.ExecContext(ctx, "create table if not exists "+table); err != nil {
				return nil, errors.Join(err, db.Close())
			}
		}
		return &minimumMySQL{db: db, keeps: keeps}, nil
	}
}

func (s *minimumMySQL) Enqueue(ctx context.Context, number int) error {
	return s.EnqueueBulk(ctx, number, 1)
}

func (s *minimumMySQL) EnqueueBulk(ctx context.Context, first, n int) error {
	var text strings.Builder
	args := make([]any, 0, 2*n)
	text.WriteString("insert into ready (id, queue, priority, kind, args) values ")
	for i := range n {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString("(?, 'default', 0, 'bench', ?)")
		args = append(args, first+i, encode(first+i))
	}
	_, err := s.db.ExecContext(ctx, text.String(), args...)
	return err
}

func (s *minimumMySQL) Work(ctx context.Context, run func(int)) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	return workers(cancel, 2, func() error {
		held := ""
		for {
			next, bodies, err := s.exchange(context.WithoutCancel(ctx), held, ctx.Err() == nil)
			var refused *mysql.MySQLError
			if errors.As(err, &refused) && (refused.Number == 1213 || refused.Number == 1205) {
				continue // a deadlock, or a lock wait that took too long: nothing has happened
			}
			if err != nil {
				return err
			}
			held = next
			for _, body := range bodies {
				if err := decode(body, run); err != nil {
					return err
				}
			}
			if held == "" {
				if ctx.Err() != nil {
					return nil
				}
				rest(ctx)
			}
		}
	}), nil
}

// mysqlTurn lets one worker claim at a time: two that lock and delete at once run into deadlocks.
var mysqlTurn sync.Mutex

// exchange acknowledges the jobs that are held and claims the next, in one transaction.
func (s *minimumMySQL) exchange(ctx context.Context, held string, claim bool) (next string, bodies [][]byte, err error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return "", nil, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if held != "" {
		statements := []string{"delete from running where id in (" + held + ")"}
		if s.keeps {
			statements = append([]string{
				"insert into done select id, queue, priority, kind, args, unix_timestamp() from running where id in (" + held + ")",
				"insert into attempts select id, 1, claimed_at, unix_timestamp(), 1 from running where id in (" + held + ")",
			}, statements...)
		}
		if err := s.all(ctx, tx, statements...); err != nil {
			return "", nil, err
		}
	}
	if claim {
		mysqlTurn.Lock()
		defer mysqlTurn.Unlock()
		if next, bodies, err = s.claim(ctx, tx); err != nil {
			return "", nil, err
		}
	}
	return next, bodies, tx.Commit()
}

func (s *minimumMySQL) claim(ctx context.Context, tx *sql.Tx) (ids string, bodies [][]byte, err error) {
	rows, err := tx.QueryContext(ctx, "select id, args from ready order by id limit 1000 for update skip locked")
	if err != nil {
		return "", nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var list []string
	for rows.Next() {
		var id int64
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return "", nil, err
		}
		list, bodies = append(list, strconv.FormatInt(id, 10)), append(bodies, body)
	}
	if err := rows.Err(); err != nil || len(list) == 0 {
		return "", nil, err
	}
	ids = strings.Join(list, ",")
	return ids, bodies, s.all(ctx, tx,
		"insert into running select id, queue, priority, kind, args, unix_timestamp() from ready where id in ("+ids+")",
		"delete from ready where id in ("+ids+")")
}

func (s *minimumMySQL) all(ctx context.Context, tx *sql.Tx, statements ...string) error {
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%.40s…: %w", statement, err)
		}
	}
	return nil
}

func (s *minimumMySQL) Left(context.Context) (int, error) {
	return count(s.db, "select count(*) from (select 1 from running limit 1) r")
}

func (s *minimumMySQL) Check(context.Context) (waiting, kept int, err error) {
	if waiting, err = count(s.db, "select (select count(*) from ready) + (select count(*) from running)"); err == nil {
		kept, err = count(s.db, "select count(*) from done")
	}
	return waiting, kept, err
}

func (s *minimumMySQL) Close() error { return s.db.Close() }
