package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
)

// answer is what one part said.
type answer[T any] struct {
	part  *part
	value T
	err   error // a *partError
}

// errLate: the other parts have answered, and this one was not waited for any longer.
var errLate = fmt.Errorf("it has not answered in time: %w", bellhop.ErrUnavailable)

// forEver as a patience waits for all parts as long as the caller's context allows.
const forEver = time.Duration(-1)

// gather asks parts at once, and returns what they say in their order. Once one
// has answered well the others have as long as patience says, but no longer than
// half of what is left of ctx, whose end would cost the answers that are there. The
// only error that it returns is that of ctx.
func gather[T any](ctx context.Context, parts []*part, patience time.Duration, call func(ctx context.Context, p *part) (T, error)) ([]answer[T], error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("partition store: %w", err)
	}
	list := make([]answer[T], len(parts))
	for i, p := range parts {
		list[i] = answer[T]{part: p, err: &partError{p.name, errLate}}
	}
	if len(parts) == 1 {
		list[0].value, list[0].err = one(ctx, parts[0], call)
		return list, ended(ctx, list)
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	type numbered struct {
		at int
		answer[T]
	}
	replies := make(chan numbered, len(parts))
	for i, p := range parts {
		go func() {
			value, err := one(within, p, call)
			replies <- numbered{i, answer[T]{p, value, err}}
		}()
	}
	var late <-chan time.Time
	for left := len(parts); left > 0; left-- {
		select {
		case r := <-replies:
			list[r.at] = r.answer
			if late == nil && r.err == nil && patience >= 0 {
				if deadline, ok := ctx.Deadline(); ok {
					patience = min(patience, time.Until(deadline)/2)
				}
				timer := time.NewTimer(patience)
				defer timer.Stop()
				late = timer.C
			}
		case <-late:
			cancel()
			for i := range list {
				if errors.Is(list[i].err, errLate) {
					list[i].part.heard(ctx, errLate)
				}
			}
			return list, ended(ctx, list)
		}
	}
	return list, ended(ctx, list)
}

// one calls one part and notes how it is.
func one[T any](ctx context.Context, p *part, call func(ctx context.Context, p *part) (T, error)) (T, error) {
	value, err := call(ctx, p)
	p.heard(ctx, err)
	if err != nil {
		return value, &partError{p.name, err}
	}
	return value, nil
}

// ended returns the error of a context that has cut a call short.
func ended[T any](ctx context.Context, list []answer[T]) error {
	if ctx.Err() == nil {
		return nil
	}
	for _, a := range list {
		if a.err != nil {
			return fmt.Errorf("partition store: %w", errors.Join(ctx.Err(), a.err))
		}
	}
	return nil
}

// all asks every part and fails if one does: a part that is left out would be missed.
func all[T any](ctx context.Context, s *Store, call func(ctx context.Context, p *part) (T, error)) ([]T, error) {
	list, err := gather(ctx, s.parts, forEver, call)
	if err != nil {
		return nil, err
	}
	values := make([]T, len(list))
	for i, a := range list {
		if a.err != nil {
			return nil, fmt.Errorf("partition store: %w", a.err)
		}
		values[i] = a.value
	}
	return values, nil
}

// allDone is [all] for calls that return nothing. It says which parts have done it.
func allDone(ctx context.Context, s *Store, what string, call func(ctx context.Context, p *part) error) error {
	list, err := gather(ctx, s.parts, forEver, func(ctx context.Context, p *part) (struct{}, error) { return struct{}{}, call(ctx, p) })
	if err != nil {
		return err
	}
	return someFailed(list, what)
}

// someFailed returns an error if any part failed, which says that the others have not.
func someFailed[T any](list []answer[T], what string) error {
	var failed error
	done := 0
	for _, a := range list {
		switch {
		case a.err == nil:
			done++
		case failed == nil:
			failed = a.err
		}
	}
	switch {
	case failed == nil:
		return nil
	case done == 0:
		return fmt.Errorf("partition store: %w", failed)
	}
	return fmt.Errorf("partition store: %s in %d of %d parts; try again for the rest: %w", what, done, len(list), changed{failed})
}

// changed is an error of which it is not certain that nothing was changed, though a part of it says so.
type changed struct{ err error }

func (e changed) Error() string { return e.err.Error() }

// Is answers for the wrapped error, which errors.Is therefore does not see.
func (e changed) Is(target error) bool {
	return target != bellhop.ErrUnchanged && errors.Is(e.err, target)
}

// working returns the values of the parts that answered, and an error if none did.
func working[T any](list []answer[T]) ([]T, error) {
	var values []T
	var failed error
	for _, a := range list {
		switch {
		case a.err == nil:
			values = append(values, a.value)
		case errors.Is(a.err, bellhop.ErrClosed), failed == nil:
			failed = a.err
		}
	}
	if len(values) == 0 && failed != nil || errors.Is(failed, bellhop.ErrClosed) {
		return nil, fmt.Errorf("partition store: %w", failed)
	}
	return values, nil
}
