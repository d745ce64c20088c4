package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/setting"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// Store is a [bellhop.Store] on MySQL or MariaDB. It is a [bellhop.Notifier] for
// what happens in this process, a [bellhop.Migrator], a [bellhop.Diagnoser] and
// a [bellhop.Stepper] as well. Make one with [Open] or [New].
type Store struct {
	*sqlstore.Store
	migrations *sqlstore.Migrations
	database   *database
	server     server
}

// Option sets up a [Store].
type Option func(*options)

// WithMigrate says what to do about the schema: "off", the default, refuses a
// database whose schema is missing or old; "auto" brings it to the newest
// version, for which the user needs more rights; "only" opens whatever is there,
// to be looked at and migrated and for nothing else. It does what the parameter
// migrate of an address does.
func WithMigrate(mode string) Option { return func(o *options) { o.migrate = mode } }

type options struct{ migrate string }

// Open opens the store in the database that an address names:
//
//	mysql://user:password@host:3306/database
//	mysql://user:password@/database?socket=/run/mysqld/mysqld.sock
//
// Parameters of the address:
//
//	migrate=off          refuses a schema that is missing or old (the default; also auto, only: see [WithMigrate])
//	connections=10       the most connections at a time, 2 at least
//	connect_timeout=10s  how long to wait for a connection
//	socket=/path         the server's socket, in place of a host
//	tls=off              on: encrypted, and the server's certificate is checked; unverified: encrypted only;
//	                     preferred: encrypted if the server can, unchecked
//	tls_ca=FILE          the certificates to check against, in place of the system's
//	tls_cert=, tls_key=  the files with this program's own certificate and key
//	tls_name=            the name in the server's certificate, if it is not the host
//
// Errors are of one line, and say what to do. What the server cannot be reached
// for matches [bellhop.ErrUnavailable].
func Open(ctx context.Context, address string, opts ...Option) (*Store, error) {
	t, err := parse(address)
	if err != nil {
		return nil, err
	}
	o := &options{migrate: t.migrate}
	for _, opt := range opts {
		opt(o)
	}
	connector, err := newConnector(t.config)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(t.connections)
	pool.SetMaxIdleConns(t.connections)
	pool.SetConnMaxIdleTime(quietLimit / 2 * time.Second) // before the server ends it
	s, err := start(ctx, &database{pool: pool, own: true, dialect: &dialect{target: t.String()}, seats: make(chan struct{}, t.connections-1)}, o)
	if err != nil {
		_ = pool.Close()
		return nil, err
	}
	return s, nil
}

// New returns a store on a pool that the caller has opened with the driver
// go-sql-driver/mysql and goes on owning: Close leaves it open. Everything goes
// through the pool. Its sessions must be strict (sql_mode), speak utf8mb4 and have
// chosen the database; that is looked at in each transaction. With
// interpolateParams=true in its DSN it needs a third of the round trips. The
// isolation level is set for each transaction of the store, and for no other.
func New(ctx context.Context, pool *sql.DB, opts ...Option) (*Store, error) {
	o := &options{migrate: "off"}
	for _, opt := range opts {
		opt(o)
	}
	if pool == nil {
		return nil, errors.New("bellhop: open MySQL store: the pool is nil")
	}
	var name sql.NullString
	d := &database{pool: pool, dialect: &dialect{target: "the pool's database"}}
	if err := pool.QueryRowContext(ctx, "select database()").Scan(&name); err != nil {
		return nil, fmt.Errorf("bellhop: open MySQL store: %w", d.explain(err))
	}
	if !name.Valid {
		return nil, errors.New("bellhop: open MySQL store: the pool's sessions have chosen no database: name one in its DSN")
	}
	d.dialect.target = fmt.Sprintf("database %q", name.String)
	s, err := start(ctx, d, o)
	if err != nil {
		return nil, fmt.Errorf("bellhop: open MySQL store: %w", err)
	}
	return s, nil
}

func init() {
	bellhop.Register("mysql", func(ctx context.Context, address string) (bellhop.Store, error) { return Open(ctx, address) })
}

// start looks at the server, brings the schema to its version and the store to life.
func start(ctx context.Context, d *database, o *options) (*Store, error) {
	if err := setting.Among(o.migrate, "auto", "off", "only"); err != nil {
		return nil, fmt.Errorf("WithMigrate(%q): %w", o.migrate, err)
	}
	s := &Store{database: d}
	var err error
	if s.server, err = look(ctx, d.pool); err == nil {
		err = s.server.check()
	}
	if err != nil {
		return nil, d.explain(err)
	}
	d.packet = s.server.packet - packetMargin
	schema := &database{pool: d.pool, dialect: d.dialect, packet: d.packet, own: d.own, last: freeLock}
	s.migrations = &sqlstore.Migrations{Dialect: d.dialect, Database: schema, Clock: bellhop.SystemClock{}}
	s.Store = sqlstore.New(sqlstore.Config{
		Dialect: d.dialect, Database: d, Shared: true, LowerBounds: true, IdleBeats: true,
		Capabilities: bellhop.Capabilities{Name: "mysql", Durability: s.server.durability(), Shared: true, Writers: 4, Exchanges: 2},
	})
	switch o.migrate {
	case "auto":
		err = s.migrations.Up(ctx)
	case "off":
		err = s.migrations.Check(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// explain makes an error of opening the one line that a caller reads.
func (d *database) explain(err error) error {
	kind, err := d.dialect.Explain(err)
	if kind == sqlstore.Unavailable || kind == sqlstore.Conflict {
		return fmt.Errorf("%w: %w", bellhop.ErrUnavailable, err)
	}
	return err
}

// Schema implements [bellhop.Migrator].
func (s *Store) Schema(ctx context.Context) (have, newest int, err error) {
	return s.migrations.Schema(ctx)
}

// MigrateTo implements [bellhop.Migrator]. MySQL cannot take a change of the
// schema back: an interrupted migration is finished by calling again.
func (s *Store) MigrateTo(ctx context.Context, version int, progress func(step bellhop.MigrationStep)) error {
	return s.migrations.MigrateTo(ctx, version, progress)
}

// MigrationSQL implements [bellhop.Migrator].
func (s *Store) MigrationSQL(from, to int) (string, error) {
	return s.migrations.MigrationSQL(from, to)
}
