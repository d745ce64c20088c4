package bulk

import (
	"context"
	"errors"
	"fmt"

	"github.com/gobellhop/bellhop"
)

// The spaces of records. An operation that runs has a record of the same key in spaceRunning, so that to look for running ones
// is to read next to nothing. That record is written before the operation's and removed after its end.
const (
	space        = "bulk"
	spaceRunning = "bulk.running"
)

var (
	errUnneeded = errors.New("nothing to change")
	errOthers   = errors.New("another process works at it")
)

// create writes a new operation.
func (r *Runner) create(ctx context.Context, o *Operation) error {
	for _, w := range []bellhop.RecordWrite{
		{Space: spaceRunning, Key: o.ID, Value: []byte("{}"), TTL: Kept},
		{Space: space, Key: o.ID, Value: o.encode(), TTL: Kept},
	} {
		if err := r.store.Put(ctx, []bellhop.RecordWrite{w}); err != nil {
			return fmt.Errorf("bulk: write a new operation: %w", err)
		}
	}
	return nil
}

func (r *Runner) unlist(ctx context.Context, id string) error {
	return r.store.Put(ctx, []bellhop.RecordWrite{{Space: spaceRunning, Key: id, Expect: bellhop.ExpectAny, Delete: true}})
}

// read returns an operation and the version of its record.
func (r *Runner) read(ctx context.Context, id string) (*Operation, int64, error) {
	if !idForm.MatchString(id) {
		return nil, 0, fmt.Errorf("bulk: operation %.64q: %w", id, bellhop.ErrNotFound)
	}
	found, err := r.store.Records(ctx, &bellhop.RecordQuery{Space: space, Keys: []string{id}})
	if err != nil {
		return nil, 0, fmt.Errorf("bulk: read operation %s: %w", id, err)
	}
	if len(found) == 0 {
		return nil, 0, fmt.Errorf("bulk: operation %s: %w", id, bellhop.ErrNotFound)
	}
	o, err := decode(&found[0])
	return o, found[0].Version, err
}

// change reads an operation, lets fn change it, and writes it if nobody else has meanwhile; else all that again. An error of fn
// leaves it as it is; errUnneeded is none for the caller.
func (r *Runner) change(ctx context.Context, id string, fn func(o *Operation) error) (*Operation, error) {
	for {
		o, version, err := r.read(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := fn(o); errors.Is(err, errUnneeded) {
			return o, nil
		} else if err != nil {
			return nil, err
		}
		err = r.store.Put(ctx, []bellhop.RecordWrite{{Space: space, Key: id, Value: o.encode(), Expect: version, TTL: Kept}})
		switch {
		case err == nil:
			return o, nil
		case !errors.Is(err, bellhop.ErrConflict):
			return nil, fmt.Errorf("bulk: write operation %s: %w", id, err)
		}
	}
}

// Get returns an operation. If there is none, the error matches [bellhop.ErrNotFound].
func (r *Runner) Get(ctx context.Context, id string) (*Operation, error) {
	o, _, err := r.read(ctx, id)
	return o, err
}

// List returns at most limit operations, newest first, and the id after which to go on; empty at the end. Records that
// cannot be read are left out.
func (r *Runner) List(ctx context.Context, after string, limit int) (list []*Operation, next string, err error) {
	found, err := r.store.Records(ctx, &bellhop.RecordQuery{Space: space, After: after, Limit: limit})
	if err != nil {
		return nil, "", fmt.Errorf("bulk: list operations: %w", err)
	}
	for i := range found {
		if o, err := decode(&found[i]); err == nil {
			list = append(list, o)
		}
	}
	if len(found) == limit {
		next = found[limit-1].Key
	}
	return list, next, nil
}
