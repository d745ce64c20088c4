package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// openStore opens the file in which orders and jobs are kept; without an address it makes one in a temporary folder.
func (s *stage) openStore(ctx context.Context, address string, log *slog.Logger) (err error) {
	path, err := filePath(address)
	if err != nil {
		return err
	}
	if path == "" {
		folder, err := os.MkdirTemp("", "bellhop-demo-")
		if err != nil {
			return fmt.Errorf("demo: there is no place for the store: %w", err)
		}
		s.onClose(func() error { return os.RemoveAll(folder) })
		path = filepath.Join(folder, "shop.db")
	}
	return s.openFile(ctx, path, log)
}

// filePath returns the file that an address names; empty for none.
func filePath(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	path, ok := strings.CutPrefix(address, "sqlite:")
	path = strings.TrimPrefix(path, "//")
	if !ok || path == "" || strings.Contains(path, "?") {
		return "", fmt.Errorf("demo: cannot use the store %q: the shop keeps its orders and jobs in one SQLite file; "+
			"name one, such as sqlite:demo.db", bellhop.MaskAddress(address))
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("demo: cannot use the store %q: %w", address, err)
	}
	return path, nil
}

// openFile opens the shop's database, as any web application does, and gives it to Bellhop, which keeps its own tables in it.
// So one transaction can hold an order and its jobs.
func (s *stage) openFile(ctx context.Context, path string, log *slog.Logger) error {
	write, read, err := openDatabase(path)
	if err != nil {
		return err
	}
	s.onClose(write.Close)
	s.onClose(read.Close)
	store, err := sqlite.New(ctx, write)
	if err != nil {
		return err
	}
	client, err := bellhop.NewClient(store, bellhop.Logger(log))
	if err != nil {
		return errors.Join(err, store.Close())
	}
	s.onClose(client.Close)
	s.client, s.address = client, "sqlite:"+path
	s.orders, err = newOrderTable(ctx, write, read, client)
	return err
}

// openDatabase opens a SQLite file with a write-ahead log, so that some can read while one writes.
//
// SQLite lets one writer through at a time, so there is one connection for writing, for which all wait in this process, and
// there are some for reading. Transactions are immediate: they take the write lock at once, and never fail half way because
// somebody else has it.
func openDatabase(path string) (write, read *sql.DB, err error) {
	pragmas := []string{"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)"}
	open := func(connections int, params url.Values) (*sql.DB, error) {
		params["_pragma"] = pragmas
		db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+params.Encode())
		if err == nil {
			db.SetMaxOpenConns(connections)
			db.SetMaxIdleConns(connections)
		}
		return db, err
	}
	if write, err = open(1, url.Values{"_txlock": {"immediate"}}); err != nil {
		return nil, nil, err
	}
	if read, err = open(4, url.Values{"_query_only": {"1"}}); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	return write, read, nil
}
