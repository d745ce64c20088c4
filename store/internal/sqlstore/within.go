package sqlstore

import (
	"context"
	"fmt"

	"github.com/gobellhop/bellhop"
)

// EnqueueIn is Enqueue inside a transaction of the caller. If it fails, the
// transaction may hold a part of what was to be done.
func (s *Store) EnqueueIn(ctx context.Context, tx Tx, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	err = s.verb(ctx, bellhop.OpEnqueue, func() error {
		t, err := s.begin(ctx, tx)
		if err == nil {
			receipts, err = t.enqueue(ctx, r)
		}
		return s.retryTx(err)
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// FinishIn applies one outcome inside a transaction of the caller, or returns [bellhop.ErrStale].
func (s *Store) FinishIn(ctx context.Context, tx Tx, o bellhop.Outcome) error {
	return s.verb(ctx, bellhop.OpExchange, func() error {
		t, err := s.begin(ctx, tx)
		if err != nil {
			return s.retryTx(err)
		}
		refused, _, err := t.settle(ctx, []bellhop.Outcome{o}, all)
		if err == nil && len(refused) > 0 {
			err = fmt.Errorf("finish job %s: %w", o.Token.JobID, bellhop.ErrStale)
		}
		return s.retryTx(err)
	})
}

// In runs fn as a part of a verb, inside a transaction of the caller.
func (s *Store) In(ctx context.Context, op bellhop.Op, fn func() error) error {
	return s.verb(ctx, op, func() error { return s.retryTx(fn()) })
}

// retryTx marks what another transaction has caused: only the caller can do the
// whole of the transaction again.
func (s *Store) retryTx(err error) error {
	if err == nil || !inTheWay(s.Dialect, err) {
		return err
	}
	_, explained := s.Dialect.Explain(err)
	return fmt.Errorf("%w: %w", bellhop.ErrRetryTx, explained)
}

// StepOf returns the step function for an operation, for transactions begun elsewhere.
func (s *Store) StepOf(op bellhop.Op) Step { return s.stepOf(op) }
