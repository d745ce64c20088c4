package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// transaction stands for a caller's transaction on the rig's store: what is
// done in it takes effect at its commit. Its commit fails if a claim was stale.
type transaction struct {
	store    *memory.Store
	outcomes []bellhop.Outcome
	failed   bool
}

var errRolledBack = errors.New("the transaction was rolled back")

func (tx *transaction) Enqueue(context.Context, *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	return nil, bellhop.ErrUnsupported
}

func (tx *transaction) Finish(ctx context.Context, o bellhop.Outcome) error {
	found, err := tx.store.Get(ctx, []bellhop.ID{o.Token.JobID})
	if err != nil {
		return err
	}
	if p := found[0].Place; p.State != bellhop.StateRunning || p.Claim != o.Token.Number || p.Exchange != o.Token.Exchange {
		tx.failed = true
		return bellhop.ErrStale
	}
	tx.outcomes = append(tx.outcomes, o)
	return nil
}

func (tx *transaction) commit(ctx context.Context) error {
	if tx.failed {
		return errRolledBack
	}
	reply, err := tx.store.Exchange(ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: tx.outcomes})
	if err == nil && len(reply.Refused) > 0 {
		err = errRolledBack
	}
	return err
}

func TestComplete(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name   string
		commit bool
		err    error // what the handler returns after its commit or rollback
		want   bellhop.State
		told   bellhop.EventType
		class  string
	}{
		{"commit", true, nil, bellhop.StateSucceeded, bellhop.EventSucceeded, ""},
		{"commit, then an error", true, boom, bellhop.StateSucceeded, bellhop.EventSucceeded, ""},
		{"rollback", false, nil, bellhop.StateScheduled, bellhop.EventRetried, "error"},
		{"rollback, then an error", false, boom, bellhop.StateScheduled, bellhop.EventRetried, "error"},
		{"rollback, then discard", false, bellhop.Discard(boom), bellhop.StateDiscarded, bellhop.EventDiscarded, "error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(ctx context.Context, _ item) error {
					run, tx := bellhop.FromContext(ctx), &transaction{store: r.store}
					if err := run.SetResult("made"); err != nil {
						return err
					}
					if err := run.Complete(ctx, run.Client().Bind(tx)); err != nil {
						return err
					}
					if tt.commit {
						if err := tx.commit(ctx); err != nil {
							return err
						}
						time.Sleep(12 * time.Second) // the bubble's clock: two beats, which must not take it for lost
						if ctx.Err() != nil {
							t.Errorf("the context ended: %v", context.Cause(ctx))
						}
					}
					return tt.err
				}))
				id := r.enqueue(many(1)...)[0]
				r.until("it is told", func() bool { return r.countType(tt.told) == 1 })
				s := r.get(id)
				expect(t, "state", s.Place.State, tt.want)
				expect(t, "stale attempts", r.countStale(), 0)
				expect(t, "records", len(s.History), 1)
				if f := s.History[0].Failure; (f == nil) != (tt.class == "") || f != nil && f.Class != tt.class {
					t.Errorf("failure %+v, want class %q", f, tt.class)
				}
				if tt.want == bellhop.StateSucceeded {
					expect(t, "result", string(s.Place.Result), `"made"`)
				} else if tt.err == nil {
					expect(t, "failure", s.History[0].Failure.Message, bellhop.ErrNotCommitted.Error())
				}
				w.mustStop()
			})
		})
	}
}

// Where an attempt cannot be completed in a transaction, nothing was begun: what the handler returns decides.
func TestCompleteWhereItCannotBe(t *testing.T) {
	for name, bound := range map[string]func(*bellhop.Client) *bellhop.Bound{
		"a transaction elsewhere": func(c *bellhop.Client) *bellhop.Bound { return c.Bind(elsewhere{}) },
		"no transaction":          func(*bellhop.Client) *bellhop.Bound { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(ctx context.Context, _ item) error {
					run := bellhop.FromContext(ctx)
					if err := run.Complete(ctx, bound(run.Client())); err == nil || run.Completed() {
						t.Errorf("Complete returned %v, completed %v", err, run.Completed())
					}
					return nil
				}))
				id := r.enqueue(many(1)...)[0]
				r.until("it has ended", func() bool { return len(r.get(id).History) > 0 })
				expect(t, "state", r.get(id).Place.State, bellhop.StateSucceeded)
				w.mustStop()
			})
		})
	}
}

// elsewhere is a transaction on another database than the store's.
type elsewhere struct{ bellhop.TxStore }

func (elsewhere) Finish(context.Context, bellhop.Outcome) error {
	return fmt.Errorf("elsewhere: %w", bellhop.ErrUnsupported)
}

func TestCompleteOfAStaleClaim(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		runs := 0
		w := r.run(Config{Queues: Queues{"default": 1}}, job.With(func(ctx context.Context, _ item) error {
			if runs++; runs > 1 {
				return nil
			}
			run, tx := bellhop.FromContext(ctx), &transaction{store: r.store}
			// Somebody takes the claim back while the handler is at work.
			back := bellhop.Outcome{Token: run.Token(), Kind: bellhop.OutcomeHandedBack}
			if _, err := r.store.Exchange(ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{back}}); err != nil {
				t.Error(err)
			}
			err := run.Complete(ctx, run.Client().Bind(tx))
			if !errors.Is(err, bellhop.ErrStale) {
				t.Errorf("Complete returned %v, want ErrStale", err)
			}
			if tx.commit(ctx) == nil {
				t.Error("the transaction of a stale claim committed")
			}
			return nil // what it returns is of no account
		}))
		id := r.enqueue(many(1)...)[0]
		r.until("it is done", func() bool { return r.get(id).Place.State == bellhop.StateSucceeded })
		expect(t, "runs", runs, 2)
		expect(t, "stale attempts", r.countStale(), 1)
		expect(t, "successes told", r.countType(bellhop.EventSucceeded), 1)
		w.mustStop()
	})
}

func TestCompleteOfAProcessThatIsHeldDead(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var w *running
		w = r.run(Config{Queues: Queues{"default": 1}}, job.With(func(ctx context.Context, _ item) error {
			run, tx := bellhop.FromContext(ctx), &transaction{store: r.store}
			if err := errors.Join(run.Complete(ctx, run.Client().Bind(tx)), tx.commit(ctx)); err != nil {
				return err
			}
			r.sweepAway(w)
			<-ctx.Done() // the next beat or poll finds out
			return ctx.Err()
		}))
		id := r.enqueue(many(1)...)[0]
		r.until("it is told", func() bool { return r.countType(bellhop.EventSucceeded) == 1 })
		expect(t, "state", r.get(id).Place.State, bellhop.StateSucceeded)
		expect(t, "stale attempts", r.countStale(), 0)
		w.mustStop()
	})
}
