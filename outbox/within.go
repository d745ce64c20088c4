package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gobellhop/bellhop"
)

// within is a transaction of the caller; it implements [bellhop.TxStore].
type within struct {
	box  *Outbox
	exec func(ctx context.Context, statement string, args ...any) error
	mu   sync.Mutex
}

// maxStatement is how many bytes of jobs go with one statement, so that it stays far below what servers accept at their
// defaults. One job alone may have more.
const maxStatement = 512 << 10

// Enqueue writes the jobs into the table.
func (w *within) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	switch {
	case w.exec == nil:
		return nil, errors.New("outbox: the transaction is nil")
	case len(r.Puts) > 0:
		return nil, fmt.Errorf("outbox: records cannot be written through an outbox: %w", bellhop.ErrUnsupported)
	}
	texts := make([]string, len(r.Jobs))
	receipts := make([]bellhop.Receipt, len(r.Jobs))
	for i, j := range r.Jobs {
		var err error
		if texts[i], err = encode(j); err != nil {
			return nil, &bellhop.ItemError{Index: i, Err: err}
		}
		receipts[i].ID = j.ID
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(ctx, w.split(r.Jobs, texts)); err != nil {
		return nil, fmt.Errorf("outbox: write into the table %s: %w", w.box.bare, err)
	}
	w.box.Wake()
	return receipts, nil
}

// insert is one statement.
type insert struct {
	text string
	args []any
}

// split divides jobs among statements.
func (w *within) split(jobs []*bellhop.Job, texts []string) (list []insert) {
	for len(jobs) > 0 {
		n, size := 0, 0
		for n < nextInsert(len(jobs)) {
			if size += len(jobs[n].Args) + len(texts[n]); n > 0 && size > maxStatement {
				break
			}
			n++
		}
		n = nextInsert(n)
		one := insert{text: w.box.insert(n), args: make([]any, 0, 3*n)}
		for i := range n {
			one.args = append(one.args, jobs[i].ID.String(), texts[i], jobs[i].Args)
		}
		list, jobs, texts = append(list, one), jobs[n:], texts[n:]
	}
	return list
}

// write runs the statements: all of them, or none.
func (w *within) write(ctx context.Context, list []insert) error {
	if len(list) == 1 {
		return w.exec(ctx, list[0].text, list[0].args...)
	}
	if err := w.exec(ctx, "savepoint bellhop_outbox"); err != nil {
		return err
	}
	for _, one := range list {
		if err := w.exec(ctx, one.text, one.args...); err != nil {
			// The error counts; if the context has ended, going back still must not fail.
			if back := w.exec(context.WithoutCancel(ctx), "rollback to savepoint bellhop_outbox"); back != nil {
				return fmt.Errorf("%w; and a part of it could not be taken back, so roll the transaction back: %w", err, back)
			}
			return err
		}
	}
	return w.exec(ctx, "release savepoint bellhop_outbox")
}

// Finish refuses: the claim is in another place than the transaction.
func (w *within) Finish(context.Context, bellhop.Outcome) error {
	return fmt.Errorf("outbox: an attempt cannot be completed in a transaction of another database than its store's: %w", bellhop.ErrUnsupported)
}
