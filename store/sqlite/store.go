package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/setting"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Store is a [bellhop.Store] on SQLite. It is a [bellhop.Notifier], a [bellhop.Joiner],
// a [bellhop.Migrator], a [bellhop.Diagnoser], a [bellhop.Examiner] and a [bellhop.Stepper] as well.
// Make one with [Open] or [New].
type Store struct {
	*sqlstore.Store
	migrations *sqlstore.Migrations
	settings   *settings
	dialect    dialect
	gate       *gate
	presence   *presence
	writer     *sql.DB
	reader     *sql.DB
	pool       *sqlstore.Pool
	file       os.FileInfo // what was opened; nil if it is no file
	theirs     bool        // the pool is the caller's
	probe      prober
	poller     poller
}

// New returns a store on a pool that the caller has opened, with any driver for
// SQLite, and goes on owning: Close leaves it open. Everything goes through the
// pool; the file itself is never opened. The pool should be in WAL mode, with a
// busy timeout. Use one pool for one file. To a database in memory it should be of
// one connection, as each would have a database of its own.
func New(ctx context.Context, db *sql.DB, opts ...Option) (*Store, error) {
	set := &settings{migrate: "auto", clock: bellhop.SystemClock{}}
	for _, opt := range opts {
		opt(set)
	}
	if err := setting.Among(set.migrate, "auto", "off", "only"); err != nil {
		return nil, fmt.Errorf("WithMigrate(%q): %w", set.migrate, err)
	}
	if db == nil {
		return nil, errors.New("bellhop: open SQLite store: the pool is nil")
	}
	var err error
	if set.path, err = mainFile(ctx, db); err != nil {
		_, err = dialect{}.Explain(err)
		return nil, fmt.Errorf("bellhop: open SQLite store: %w", err)
	}
	s := &Store{settings: set, dialect: dialect{set.path}, writer: db, reader: db, theirs: true}
	if set.path != "" {
		s.gate, err = newGate(folderOf(set.path))
	} else {
		s.gate = newInnerGate()
	}
	if err == nil {
		set.synchronous, err = synchronous(ctx, db)
	}
	if err == nil {
		err = s.start(ctx, &sqlstore.Pool{Writer: db, Reader: db, Dialect: s.dialect, Gate: s.gate, First: takeWriteLock})
	}
	if err != nil {
		s.abandon()
		return nil, fmt.Errorf("bellhop: open SQLite store: %w", err)
	}
	if set.path == "" {
		if err := shared(ctx, db); err != nil {
			_ = s.Close()
			return nil, fmt.Errorf("bellhop: open SQLite store: %w", err)
		}
	}
	return s, nil
}

// shared returns an error if connections of a pool do not have the store's database in common: those to ":memory:" have each one of their own.
func shared(ctx context.Context, db *sql.DB) error {
	if db.Stats().MaxOpenConnections == 1 {
		return nil
	}
	for range 2 {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() // not before the other is there
		there := false
		if err := conn.QueryRowContext(ctx, `select exists (select * from sqlite_master where name = 'bellhop_schema')`).Scan(&there); err != nil {
			return err
		}
		if !there {
			return errors.New("each connection of the pool has a database in memory of its own: call SetMaxOpenConns(1) on the pool, or open a file")
		}
	}
	return nil
}

// takeWriteLock changes nothing, but SQLite takes the write lock for it, so that
// a deferred transaction cannot fail later when it first writes.
var takeWriteLock = sqlstore.Compose("take write lock", `delete from bellhop_schema where version < 0`)

// mainFile returns the path of a pool's database; empty if it is not a file.
func mainFile(ctx context.Context, db *sql.DB) (path string, err error) {
	err = db.QueryRowContext(ctx, `select file from pragma_database_list where name = 'main'`).Scan(&path)
	return path, err
}

func synchronous(ctx context.Context, db *sql.DB) (string, error) {
	var level int
	if err := db.QueryRowContext(ctx, `pragma synchronous`).Scan(&level); err != nil {
		return "", err
	}
	return [...]string{"off", "normal", "full", "extra"}[min(max(level, 0), 3)], nil
}

// Ping implements [bellhop.Store]. It also looks whether the file that is open is still the one of that name: SQLite goes on writing to one that was removed, or
// that a backup has taken the place of, and what is written there is gone when the last program closes it.
func (s *Store) Ping(ctx context.Context) (time.Time, error) {
	now, err := s.Store.Ping(ctx)
	if err != nil || s.file == nil {
		return now, err
	}
	if there, err := os.Stat(s.settings.path); err != nil || !os.SameFile(s.file, there) {
		return now, fmt.Errorf("sqlite store: ping: %w: %s was removed or replaced while it was open, and what is written now is lost: "+
			"stop all programs that use it, put the right file in its place, and start them again", bellhop.ErrUnavailable, s.settings.path)
	}
	return now, nil
}

// start brings the schema to its version and the store to life.
func (s *Store) start(ctx context.Context, p *sqlstore.Pool) error {
	s.pool = p
	p.Clock = func(context.Context, sqlstore.Tx) (int64, error) { return s.settings.clock.Now().UnixMicro(), nil }
	p.OnClose = s.shut
	s.migrations = &sqlstore.Migrations{Dialect: s.dialect, Database: schemaPool{p}, Clock: s.settings.clock}
	if s.settings.path != "" {
		s.settings.log = logOf(s.settings.path)
		s.presence = newPresence(folderOf(s.settings.path))
		s.presence.clean()
		var err error
		if s.file, err = os.Stat(s.settings.path); err != nil {
			return err
		}
	}
	durable := durability[s.settings.synchronous]
	if durable == "" {
		durable = "a commit survives a crash of the process; a loss of power may damage the file (synchronous=" + s.settings.synchronous + ")"
	}
	config := sqlstore.Config{
		Dialect: s.dialect, Database: p, Clock: s.settings.clock, IdleBeats: true,
		Capabilities: bellhop.Capabilities{Name: "sqlite", Durability: durable, Shared: s.settings.path != "", Writers: 1},
	}
	if s.presence != nil {
		config.Presence = s.presence
	}
	s.Store = sqlstore.New(config)
	var err error
	switch s.settings.migrate {
	case "only":
		return nil
	case "auto":
		err = s.migrations.Up(ctx)
	default:
		err = s.migrations.Check(ctx)
	}
	if err == nil {
		err = p.Prepare(ctx)
	}
	if err == nil {
		err = s.Watch(ctx)
	}
	if err != nil {
		_, err = s.dialect.Explain(err)
	}
	return err
}

// schemaPool is the pool as migrations use it: without the first statement,
// which needs the schema.
type schemaPool struct{ *sqlstore.Pool }

func (p schemaPool) Write(ctx context.Context, step sqlstore.Step, fn func(sqlstore.Tx) error) error {
	var first *sqlstore.Stmt
	if p.First != nil { // their pool begins deferred transactions
		first = lockByNothing
	}
	return p.Bare(first).Write(ctx, step, fn)
}

var lockByNothing = sqlstore.Compose("take write lock", `create table if not exists bellhop_schema (version integer not null primary key, name varchar(100) not null, checksum char(64) not null, applied_at bigint not null)`)

// Schema implements [bellhop.Migrator].
func (s *Store) Schema(ctx context.Context) (have, newest int, err error) {
	return s.migrations.Schema(ctx)
}

// MigrateTo implements [bellhop.Migrator]. A store that has been taken to an
// older version can only be migrated again or closed.
func (s *Store) MigrateTo(ctx context.Context, version int, progress func(step bellhop.MigrationStep)) error {
	return s.migrations.MigrateTo(ctx, version, progress)
}

// MigrationSQL implements [bellhop.Migrator].
func (s *Store) MigrationSQL(from, to int) (string, error) {
	return s.migrations.MigrationSQL(from, to)
}

// shut is the last part of Close.
func (s *Store) shut() error {
	s.poller.stop()
	s.probe.close()
	if s.presence != nil {
		s.presence.close()
	}
	var err error
	if !s.theirs {
		err = s.reader.Close()
		if e := s.writer.Close(); e != nil {
			err = e
		}
	}
	s.gate.close()
	return err
}

// abandon frees what a failed open has taken.
func (s *Store) abandon() {
	if s.pool != nil {
		_ = s.pool.Close()
		return
	}
	if !s.theirs {
		for _, db := range []*sql.DB{s.reader, s.writer} {
			if db != nil {
				_ = db.Close()
			}
		}
	}
	if s.gate != nil {
		s.gate.close()
	}
}
