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
		return err
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
			return err
		}
		refused, err := t.settle(ctx, []bellhop.Outcome{o})
		if err == nil && len(refused) > 0 {
			err = fmt.Errorf("finish job %s: %w", o.Token.JobID, bellhop.ErrStale)
		}
		return err
	})
}

// StepOf returns the step function for an operation, for transactions begun elsewhere.
func (s *Store) StepOf(op bellhop.Op) Step { return s.stepOf(op) }
