package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
)

// errNoAnswer is the cause for which a call ends that takes longer than the parameter timeout allows.
var errNoAnswer = errors.New("no answer in time")

// unchanged marks an error after which it is certain that nothing was changed.
func unchanged(err error) error { return &unchangedError{err} }

type unchangedError struct{ err error }

func (u *unchangedError) Error() string        { return u.err.Error() }
func (u *unchangedError) Unwrap() error        { return u.err }
func (u *unchangedError) Is(target error) bool { return target == bellhop.ErrUnchanged }

// refusals are the answers by which a server says that it cannot do now what it
// is asked for. None of them changes anything.
var refusals = []struct{ prefix, means string }{
	{"OOM", "its memory is full (maxmemory): raise the limit, or let workers finish and prune jobs"},
	{"READONLY", "it is a replica and takes no writes: connect to the master"},
	{"LOADING", "it is loading its data"},
	{"MASTERDOWN", "it is a replica that has lost its master"},
	{"BUSY", "another script keeps it busy"},
	{"MISCONF", "it cannot write to its disk"},
	{"NOREPLICAS", "it has too few replicas (min-replicas-to-write)"},
	{"CLUSTERDOWN", "the cluster is down"},
	{"TRYAGAIN", "the cluster is moving the keys"},
	{"MOVED", "it is a node of a cluster: use an address that begins with redis+cluster://"},
	{"NOAUTH", "it wants a password"},
	{"WRONGPASS", "user or password is wrong"},
	{"NOPERM", "the user lacks a right"},
	{"EXECABORT", "it refused the command"},
	{"STAGED", "the parts of a large call were lost on their way"},
	{"max number of clients", "it takes no more connections (maxclients)"},
}

// explain says what an error of the client or the server means, and marks what kind it is.
func (s *Store) explain(err error) error {
	var answer redis.Error
	var dial *net.OpError
	switch {
	case errors.Is(err, errBroken), errors.Is(err, bellhop.ErrUnavailable):
		return err
	case errors.As(err, &answer):
		return s.explainAnswer(answer.Error())
	case errors.As(err, &dial) && dial.Op == "dial", errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrClosed):
		return unchanged(fmt.Errorf("%w: %w", bellhop.ErrUnavailable, err))
	}
	return fmt.Errorf("%w: %w", bellhop.ErrUnavailable, err)
}

func (s *Store) explainAnswer(text string) error {
	text = strings.TrimPrefix(text, "ERR ")
	for _, r := range refusals {
		if strings.HasPrefix(text, r.prefix) {
			return unchanged(fmt.Errorf("%w: the server says that %s (%s)", bellhop.ErrUnavailable, r.means, brief(text)))
		}
	}
	if strings.HasPrefix(text, "WRONGTYPE") {
		return unchanged(fmt.Errorf("%w: a key that begins with %q is of another type, written by another program: look with `bellhop doctor`, remove or rename it, or use another namespace (%s)",
			bellhop.ErrUnavailable, s.keys.base, brief(text)))
	}
	return fmt.Errorf("the server answers: %s", brief(text))
}

// brief cuts what a server says to one line.
func brief(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return bellhop.CleanText(line, 200)
}

func label(op bellhop.Op) string { return "redis store: " + string(op) }

// failed makes the one line that a caller reads of an error.
func (s *Store) failed(ctx context.Context, op bellhop.Op, err error) error {
	var invalid *bellhop.InvalidError
	var item *bellhop.ItemError
	switch {
	case errors.As(err, &invalid), errors.As(err, &item):
		return err
	case ended(ctx) != nil:
		if !errors.Is(err, ended(ctx)) {
			err = fmt.Errorf("%w: %w", ended(ctx), err)
		}
		return fmt.Errorf("%s: %w", label(op), err)
	case errors.Is(err, bellhop.ErrConflict), errors.Is(err, bellhop.ErrProcessGone), errors.Is(err, bellhop.ErrUnchanged):
	case errors.Is(err, errNoAnswer):
		err = fmt.Errorf("%w: no answer within %v", bellhop.ErrUnavailable, s.settings.timeout)
	default:
		err = s.explain(err)
	}
	return fmt.Errorf("%s: %w", label(op), err)
}

// ended returns why a context has ended. The client may notice the deadline a
// moment before the context does.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}
