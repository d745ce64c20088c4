package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/setting"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

func init() {
	bellhop.Register("sqlite", func(ctx context.Context, address string) (bellhop.Store, error) { return Open(ctx, address) })
}

// Option sets up a [Store].
type Option func(*settings)

// WithClock makes the store take its time from clock. The default is
// [bellhop.SystemClock]; tests give a [bellhop.ManualClock].
func WithClock(clock bellhop.Clock) Option { return func(s *settings) { s.clock = clock } }

// WithMigrate says what to do about the schema: "auto", the default, brings it
// to the newest version; "off" refuses a store that is not there yet; "only"
// opens whatever is there, to be looked at and migrated and for nothing else.
// It does what the parameter migrate of an address does.
func WithMigrate(mode string) Option { return func(s *settings) { s.migrate = mode } }

// settings are what addresses and options say.
type settings struct {
	path        string // of the database; empty if the pool's is not a file
	log         string // its write-ahead log; likewise
	clock       bellhop.Clock
	migrate     string
	synchronous string
	cacheMiB    int
	maxLog      int64
	readers     int
}

// Durability by the setting of synchronous.
var durability = map[string]string{
	"full":   "a commit survives a crash of the process and a loss of power",
	"extra":  "a commit survives a crash of the process and a loss of power",
	"normal": "a commit survives a crash of the process; a loss of power may cost the commits of the last moments (synchronous=normal)",
}

// parameters are what may stand behind the question mark of an address.
var parameters = map[string]func(s *settings, value string) error{
	"synchronous": func(s *settings, v string) error {
		s.synchronous = strings.ToLower(v)
		return setting.Among(s.synchronous, "full", "normal", "extra")
	},
	"migrate": func(s *settings, v string) error {
		s.migrate = v
		return setting.Among(v, "auto", "off", "only")
	},
	"cache_mib": func(s *settings, v string) error { return setting.Number(v, 1, 1<<20, &s.cacheMiB) },
	"readers":   func(s *settings, v string) error { return setting.Number(v, 1, 1000, &s.readers) },
}

// parse reads an address: sqlite:file or sqlite:///path/to/file, and parameters.
func parse(address string) (*settings, error) {
	s := &settings{migrate: "auto", synchronous: "full", cacheMiB: 16, readers: 4, maxLog: maxLog}
	rest, ok := strings.CutPrefix(address, "sqlite:")
	if !ok {
		return nil, errors.New(`want an address like "sqlite:jobs.db" or "sqlite:///var/lib/app/jobs.db"`)
	}
	path, query, _ := strings.Cut(rest, "?")
	if after, ok := strings.CutPrefix(path, "//"); ok {
		if path = after; !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf(`%q stands where a host would: write "sqlite:%s" for a file here, or "sqlite:///%s" from the root`, path, path, path)
		}
	}
	path, err := url.PathUnescape(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the path has a broken escape: %w", err)
	case path == "" || path == "." || strings.HasSuffix(path, "/"):
		return nil, errors.New(`there is no file name: write it like "sqlite:jobs.db"`)
	case path == ":memory:":
		return nil, errors.New(`SQLite's own memory databases hold nothing once closed: for a store in memory use "memory:"`)
	}
	if s.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("the parameters cannot be read: %w", err)
	}
	for name, list := range values {
		set := parameters[name]
		if set == nil {
			return nil, fmt.Errorf("the parameter %.64q is unknown: there are cache_mib, migrate, readers and synchronous", name)
		}
		if err := set(s, list[len(list)-1]); err != nil {
			return nil, fmt.Errorf("the parameter %s=%.64s: %w", name, list[len(list)-1], err)
		}
	}
	return s, nil
}

// Open opens the store in a file, which it makes if it is not there; its folder
// must be. Parameters of the address:
//
//	synchronous=full     a commit survives a loss of power (the default; also normal, extra)
//	migrate=auto         brings the schema to the newest version (the default; also off, only: see [WithMigrate])
//	cache_mib=16         SQLite's page cache of the writing connection, in MiB
//	readers=4            connections that read
func Open(ctx context.Context, address string, opts ...Option) (*Store, error) {
	set, err := parse(address)
	if err != nil {
		return nil, err
	}
	set.clock = bellhop.SystemClock{}
	for _, opt := range opts {
		opt(set)
	}
	if err := setting.Among(set.migrate, "auto", "off", "only"); err != nil {
		return nil, fmt.Errorf("WithMigrate(%q): %w", set.migrate, err)
	}
	s, err := open(ctx, set)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func open(ctx context.Context, set *settings) (_ *Store, err error) {
	if err := checkPath(set.path, set.migrate != "off"); err != nil {
		return nil, err
	}
	s := &Store{settings: set, dialect: dialect{set.path}}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	if s.gate, err = newGate(folderOf(set.path)); err != nil {
		return nil, err
	}
	common := url.Values{"_pragma": {
		"busy_timeout(200)", "foreign_keys(0)", "temp_store(memory)",
	}}
	// At the end of a commit SQLite may walk through its whole page cache, so that a
	// large cache costs more than it gains. The page size is SQLite's own, 4096 bytes.
	writing := url.Values{"_txlock": {"immediate"}, "_pragma": append(slices.Clone(common["_pragma"]),
		"journal_mode(wal)", "synchronous("+set.synchronous+")", fmt.Sprintf("cache_size(-%d)", set.cacheMiB<<10),
		"wal_autocheckpoint(2000)", fmt.Sprintf("journal_size_limit(%d)", set.maxLog))}
	reading := url.Values{"_query_only": {"1"}, "_pragma": append(slices.Clone(common["_pragma"]), "cache_size(-4096)")}
	if s.writer, err = pool(set.path, writing, 1); err != nil {
		return nil, err
	}
	if s.reader, err = pool(set.path, reading, set.readers); err != nil {
		return nil, err
	}
	// Switching a new file to WAL wants it alone, so it happens behind the gate.
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	err = s.writer.PingContext(ctx)
	if err == nil {
		_, err = s.writer.ExecContext(ctx, "select count(*) from sqlite_master")
	}
	s.gate.Leave()
	if err != nil {
		_, err = s.dialect.Explain(err)
		return nil, err
	}
	return s, s.start(ctx, &sqlstore.Pool{
		Writer: s.writer, Reader: s.reader, Dialect: s.dialect, Gate: &logKeeper{gate: s.gate, store: s}, Begin: "begin immediate",
	})
}

func pool(path string, parameters url.Values, size int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+parameters.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// checkPath finds what is wrong with a path before SQLite says so less clearly.
func checkPath(path string, create bool) error {
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist: create it, or correct the path", folder)
	case err != nil:
		return fmt.Errorf("the folder %s cannot be used: %w", folder, err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder: correct the path", folder)
	}
	info, err = os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder: name a file in it, such as %s", path, filepath.Join(path, "jobs.db"))
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file: name another", path)
	case errors.Is(err, os.ErrNotExist) && !create:
		return fmt.Errorf("%s does not exist, and migrate=off makes no store: run `bellhop migrate up`, or open it without migrate=off", path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s cannot be used: %w", path, err)
	}
	return nil
}

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
