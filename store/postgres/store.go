package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Store is a [bellhop.Store] on PostgreSQL. It is a [bellhop.Notifier], a
// [bellhop.Migrator], a [bellhop.Diagnoser] and a [bellhop.Stepper] as well.
// Make one with [Open] or [New].
type Store struct {
	*sqlstore.Store
	migrations *sqlstore.Migrations
	settings   *settings
	database   *database
	sender     *sender
	ear        ear
}

// How many enqueues, and exchanges of one worker, are worth having under way at once.
const (
	writers   = 4
	exchanges = 3
)

// start makes a store on a pool, and looks at the schema. theirs says that the
// pool's sessions are not set up for the store. Closing the store leaves the pool open.
func start(ctx context.Context, set *settings, pool *pgxpool.Pool, theirs bool) (*Store, error) {
	d := &database{
		pool: pool, name: set.schema, dialect: newDialect(set.schema), local: theirs || set.pooler == "transaction",
		seats: make(chan struct{}, max(pool.Config().MaxConns-1, 1)),
	}
	d.alone = asksNot(pool.Config().ConnConfig)
	s := &Store{settings: set, database: d}
	if set.pooler != "transaction" || set.listen != "" {
		s.sender = newSender(d)
	}
	d.shut = func() {
		s.ear.stop()
		s.sender.stop()
	}
	s.migrations = &sqlstore.Migrations{Dialect: d.dialect, Database: d, Clock: bellhop.SystemClock{}}
	s.Store = sqlstore.New(sqlstore.Config{
		Dialect: d.dialect, Database: d, Shared: true, Woken: s.woken,
		Capabilities: bellhop.Capabilities{
			Name: "postgres", Shared: true, Writers: writers, Exchanges: exchanges,
			Durability: "a commit survives a crash of the server, unless its synchronous_commit or fsync is off",
		},
	})
	err := s.migrate(ctx)
	if err == nil && set.migrate != "only" {
		_, err = d.place(ctx)
	}
	if err != nil {
		s.sender.stop()
		_, err = d.dialect.Explain(err)
		return nil, err
	}
	return s, nil
}

// migrate does what the setting migrate says.
func (s *Store) migrate(ctx context.Context) error {
	switch s.settings.migrate {
	case "only":
		return nil
	case "auto":
		have, newest, err := s.migrations.Schema(ctx)
		if err != nil || have == newest {
			return err
		}
		if err := s.makeSchema(ctx); err != nil {
			return err
		}
		return s.migrations.Up(ctx)
	}
	err := s.migrations.Check(ctx)
	if errors.Is(err, bellhop.ErrSchemaOlder) {
		err = fmt.Errorf("schema %q: %w", s.settings.schema, err)
	}
	return err
}

// makeSchema makes the schema for the tables, if it is not there.
func (s *Store) makeSchema(ctx context.Context) error {
	var there bool
	d := s.database
	return d.Write(ctx, nil, func(tx sqlstore.Tx) error {
		if err := d.dialect.Lock(ctx, tx); err != nil {
			return err
		}
		err := tx.Query(ctx, hasSchema, func(r sqlstore.Row) error { return r.Scan(&there) }, s.settings.schema)
		if err != nil || there {
			return err
		}
		_, err = tx.Exec(ctx, sqlstore.Compose("make schema", "create schema "+pgx.Identifier{s.settings.schema}.Sanitize()))
		return err
	})
}

var hasSchema = sqlstore.Define("has schema", `select exists (select 1 from pg_namespace where nspname = ?)`)

// Schema implements [bellhop.Migrator].
func (s *Store) Schema(ctx context.Context) (have, newest int, err error) {
	return s.migrations.Schema(ctx)
}

// MigrateTo implements [bellhop.Migrator]. A store that has been taken to an
// older version can only be migrated again or closed.
func (s *Store) MigrateTo(ctx context.Context, version int, progress func(step bellhop.MigrationStep)) error {
	if version > 0 {
		if err := s.makeSchema(ctx); err != nil {
			return err
		}
	}
	return s.migrations.MigrateTo(ctx, version, progress)
}

// MigrationSQL implements [bellhop.Migrator].
func (s *Store) MigrationSQL(from, to int) (string, error) {
	sql, err := s.migrations.MigrationSQL(from, to)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("set search_path to %s;\n\n%s", pgx.Identifier{s.settings.schema}.Sanitize(), sql), nil
}
