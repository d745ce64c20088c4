package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop"
)

func init() {
	open := func(ctx context.Context, address string) (bellhop.Store, error) { return Open(ctx, address) }
	bellhop.Register("postgres", open)
	bellhop.Register("postgresql", open)
}

// Option sets up a [Store].
type Option func(*settings)

// WithSchema names the schema in which the tables are: "public" by default.
func WithSchema(name string) Option { return func(s *settings) { s.schema = name } }

// WithMigrate says what to do about the schema: "off", the default, refuses one
// that is not there or not new enough; "auto" brings it to the newest version;
// "only" opens whatever is there, to be looked at and migrated and for nothing else.
func WithMigrate(mode string) Option { return func(s *settings) { s.migrate = mode } }

// WithTransactionPooler says that the connections lead to a pooler that gives
// each transaction another session, as PgBouncer does with pool_mode=transaction.
// Nothing is then kept in a session, and there are no notifications unless
// [WithListen] names a direct way.
func WithTransactionPooler() Option { return func(s *settings) { s.pooler = "transaction" } }

// WithListen names the address of the server itself, for notifications only,
// where all else goes through a pooler.
func WithListen(address string) Option { return func(s *settings) { s.listen = address } }

// settings are what addresses and options say.
type settings struct {
	schema  string
	migrate string
	pooler  string
	listen  string
}

// parameter is one that this store takes out of an address; the others are for pgx.
type parameter struct {
	name string
	set  func(s *settings, value string) error
}

var ownParameters = []parameter{
	{"schema", func(s *settings, v string) error { s.schema = v; return nil }},
	{"migrate", func(s *settings, v string) error { s.migrate = v; return nil }},
	{"pooler", func(s *settings, v string) error { s.pooler = v; return nil }},
	{"listen", func(s *settings, v string) error { s.listen = v; return nil }},
}

func defaults() *settings { return &settings{schema: "public", migrate: "off"} }

// check refuses what cannot be meant.
func (s *settings) check() error {
	switch {
	case s.schema == "" || len(s.schema) > 63 || strings.ContainsRune(s.schema, 0):
		return fmt.Errorf("schema=%.80q: want the name of a schema, at most 63 bytes", s.schema)
	case !slices.Contains([]string{"auto", "off", "only"}, s.migrate):
		return fmt.Errorf("migrate=%.64q: want auto, off or only", s.migrate)
	case !slices.Contains([]string{"", "session", "transaction"}, s.pooler):
		return fmt.Errorf("pooler=%.64q: want transaction, if the address leads to a pooler in transaction mode, or session", s.pooler)
	}
	if s.listen == "" {
		return nil
	}
	if _, err := pgx.ParseConfig(s.listen); err != nil { // else nobody would hear that there are no notifications
		return fmt.Errorf("listen=: %w", unreadable(err))
	}
	return nil
}

// parse reads an address: our parameters, and the rest for pgx.
func parse(address string) (*settings, *pgxpool.Config, error) {
	s := defaults()
	rest, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, nil, errors.New("the parameters cannot be read: write special characters as %XX")
	}
	for _, p := range ownParameters {
		if list, given := values[p.name]; given {
			if err := p.set(s, list[len(list)-1]); err != nil {
				return nil, nil, err
			}
			values.Del(p.name)
		}
	}
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	if len(values) > 0 {
		rest += "?" + values.Encode()
	}
	config, err := pgxpool.ParseConfig(rest)
	if err != nil {
		return nil, nil, unreadable(err)
	}
	if _, given := values["pool_max_conns"]; !given {
		config.MaxConns = max(config.MaxConns, 8)
	}
	prepare(s, config)
	return s, config, nil
}

// unreadable says what is wrong with an address without repeating it: it may hold a password.
func unreadable(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return fmt.Errorf("the address cannot be read (want postgres://user:password@host:5432/database?schema=…): %w", err)
}

// prepare sets up the sessions of a pool of our own.
func prepare(s *settings, config *pgxpool.Config) {
	c := config.ConnConfig
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "bellhop"
	}
	if s.pooler == "transaction" {
		// Statements cannot stay prepared in a session that is another's next time;
		// their descriptions are remembered here instead.
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		return
	}
	for _, p := range parameters {
		c.RuntimeParams[p[0]] = p[1]
	}
}

// Open opens the store at an address of PostgreSQL:
//
//	postgres://user:password@host:5432/database
//
// Parameters of pgx may follow (sslmode, target_session_attrs, connect_timeout,
// pool_max_conns: 8 by default or the number of processors, if that is more), and
// these of the store:
//
//	schema=public         the schema in which the tables are
//	migrate=auto          brings the schema to the newest version (off, the default, refuses another; only: see [WithMigrate])
//	pooler=transaction    the address leads to a pooler in transaction mode: see [WithTransactionPooler]
//	listen=postgres://…   the server's own address, for notifications behind a pooler
func Open(ctx context.Context, address string, opts ...Option) (*Store, error) {
	s, config, err := parse(address)
	if err != nil {
		return nil, err
	}
	for _, opt := range opts {
		opt(s)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	prepare(s, config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	store, err := start(ctx, s, pool, false)
	if err != nil {
		pool.Close()
		return nil, err
	}
	stop := store.database.shut
	store.database.shut = func() { stop(); pool.Close() }
	return store, nil
}

// New returns a store on a pool that the caller has opened and goes on owning:
// Close leaves it open. Everything goes through that pool. What the store needs
// of a session it sets for each of its transactions, so the pool may have any
// settings, and may lead to a pooler ([WithTransactionPooler]).
func New(ctx context.Context, pool *pgxpool.Pool, opts ...Option) (*Store, error) {
	s := defaults()
	for _, opt := range opts {
		opt(s)
	}
	err := s.check()
	if err == nil && pool == nil {
		err = errors.New("the pool is nil")
	}
	var store *Store
	if err == nil {
		store, err = start(ctx, s, pool, true)
	}
	if err != nil {
		return nil, fmt.Errorf("bellhop: open PostgreSQL store: %w", err)
	}
	return store, nil
}
