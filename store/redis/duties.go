package redis

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop"
)

// remembered is how long a process that was swept or left is remembered, so that it cannot come back.
const remembered = 25 * time.Hour

// Promote implements [bellhop.Store].
func (s *Store) Promote(ctx context.Context, limit int) (n int, next time.Duration, err error) {
	in := items{}
	in.number(int64(limit))
	err = s.ask(ctx, bellhop.OpPromote, scriptPromote, in, func(reply any) error {
		r, err := row(reply, 3)
		if err != nil {
			return err
		}
		n, next = int(integer(r[0])), until(text(r[2]), integer(r[1]))
		return nil
	})
	return n, next, err
}

// Prune implements [bellhop.Store]. It also deletes, within the same limit,
// finished jobs that have not expired, the ones that expire first, if there are
// more than the parameter keep_finished allows; and it forgets processes that
// have been gone for a day.
func (s *Store) Prune(ctx context.Context, limit int) (n int, err error) {
	in := items{}
	in.number(int64(limit))
	in.number(int64(s.settings.keepFinished))
	in.number(remembered.Microseconds())
	err = s.ask(ctx, bellhop.OpPrune, scriptPrune, in, func(reply any) error {
		n = int(integer(reply))
		return nil
	})
	return n, err
}

// Pause implements [bellhop.Store].
func (s *Store) Pause(ctx context.Context, queue string, paused bool) error {
	in := items{}
	in.text(queue)
	in.text(ifSet(paused, "1"))
	return s.ask(ctx, bellhop.OpPause, scriptPause, in, func(any) error { return nil })
}
