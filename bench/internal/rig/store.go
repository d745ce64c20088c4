package rig

import (
	"context"
	"fmt"
	"net/url"

	"github.com/gobellhop/bellhop/internal/testservers"
)

// Counters are what a server says about its work so far; differences are shown for each job. A field a store does not have is 0.
type Counters struct {
	// Commits are transactions (PostgreSQL, MariaDB) or commands (Redis).
	Commits float64
	// LogBytes are bytes of WAL, of redo log and binlog, or of the append-only file.
	LogBytes float64
	// Buffers are pages looked at, in memory or not.
	Buffers float64
}

// Sub returns what was added since an earlier look.
func (c Counters) Sub(earlier Counters) Counters {
	return Counters{c.Commits - earlier.Commits, c.LogBytes - earlier.LogBytes, c.Buffers - earlier.Buffers}
}

// Store is one kind of server, started for the benchmark alone, or a folder of files.
type Store interface {
	// Describe returns the version and the settings, a line each.
	Describe() []string
	// Fresh makes an empty place of a name, in place of an earlier one, and returns its address.
	Fresh(ctx context.Context, name string) (address string, err error)
	// Drop empties a place that is no longer needed.
	Drop(ctx context.Context, name string) error
	// Settle brings the server to rest after a fill: statistics are gathered, dirty pages are on disk.
	Settle(ctx context.Context, name string) error
	// Counters reads the server's counters.
	Counters(ctx context.Context) (Counters, error)
	// CPU returns the processor time of the server's processes in microseconds.
	CPU() float64
	// Pin opens an old snapshot in a place, as a forgotten session does, and holds it until release is called.
	Pin(ctx context.Context, name string) (release func(), err error)
	// Close stops the server and deletes its files.
	Close() error
}

// Start starts the store of a name; those that are files keep them in the folder.
func Start(ctx context.Context, name, folder string) (Store, error) {
	switch name {
	case "postgres":
		return startPostgres(ctx)
	case "mysql":
		return startMariaDB(ctx)
	case "redis":
		return startRedis(ctx)
	case "sqlite":
		return &files{folder: folder}, nil
	case "memory":
		return memory{}, nil
	}
	return nil, fmt.Errorf("there is no store %q: want postgres, mysql, redis, sqlite or memory", name)
}

// server is a private server and the process that it is.
type server struct {
	*testservers.Instance
	pid int
}

// CPU is the processor time of the server and all its processes, ended ones included.
func (s *server) CPU() float64 { return familyCPU(s.pid) }

// place is the address of a database of the server.
func (s *server) place(database string) string {
	u, err := url.Parse(s.Address)
	if err != nil {
		panic(err) // it has just been connected to
	}
	u.Path = "/" + database
	return u.String()
}
