package partition

import (
	"context"
	"fmt"

	"github.com/gobellhop/bellhop"
)

// Enqueue implements [bellhop.Store]. Jobs and records of several parts are refused
// with a [bellhop.SpanError].
func (s *Store) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	at, err := bellhop.PartOf(s, r.Jobs)
	if err != nil {
		return nil, err
	}
	if len(r.Puts) > 0 {
		home, err := s.homeOf(r.Puts)
		if err != nil {
			return nil, err
		}
		if len(r.Jobs) > 0 && home != at {
			return nil, s.spans("job 0", at, recordName(&r.Puts[0]), home)
		}
		at = home
	}
	p := s.parts[at]
	receipts, err := one(ctx, p, func(ctx context.Context, p *part) ([]bellhop.Receipt, error) { return p.store.Enqueue(ctx, r) })
	if err != nil {
		return nil, fmt.Errorf("partition store: %w", err)
	}
	p.wake()
	return receipts, nil
}

func (s *Store) spans(first string, in int, other string, elsewhere int) error {
	return &bellhop.SpanError{First: first, Part: s.parts[in].name, Other: other, OtherPart: s.parts[elsewhere].name}
}
