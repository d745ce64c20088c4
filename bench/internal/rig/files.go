package rig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// files keeps SQLite databases, one in a folder of its own.
type files struct{ folder string }

func (f *files) Describe() []string {
	return []string{"SQLite in the process, WAL; what synchronous= is stands with each contender"}
}

func (f *files) Fresh(_ context.Context, name string) (string, error) {
	dir := filepath.Join(f.folder, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return "sqlite:" + filepath.Join(dir, "jobs.db"), nil
}

func (f *files) Drop(_ context.Context, name string) error {
	return os.RemoveAll(filepath.Join(f.folder, name))
}

func (f *files) Settle(context.Context, string) error       { return nil }
func (f *files) Counters(context.Context) (Counters, error) { return Counters{}, nil }
func (f *files) CPU() float64                               { return 0 }
func (f *files) Close() error                               { return os.RemoveAll(f.folder) }
func (f *files) Pin(context.Context, string) (func(), error) {
	return nil, errors.New("old snapshots are a matter for servers")
}

// memory is the store within the measured process.
type memory struct{}

func (memory) Describe() []string                            { return []string{"in the worker's own memory"} }
func (memory) Fresh(context.Context, string) (string, error) { return "memory:", nil }
func (memory) Drop(context.Context, string) error            { return nil }
func (memory) Settle(context.Context, string) error          { return nil }
func (memory) Counters(context.Context) (Counters, error)    { return Counters{}, nil }
func (memory) CPU() float64                                  { return 0 }
func (memory) Close() error                                  { return nil }
func (memory) Pin(context.Context, string) (func(), error) {
	return nil, errors.New("old snapshots are a matter for servers")
}
