package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// Swift is the ability of a [Database] to do the two verbs on the path of every
// job in a way of its own, because that measures better. It takes the calls in
// which nothing is out of the ordinary, and leaves the others, by [ErrCareful],
// to the statements that all databases share.
type Swift interface {
	// Enqueue adds jobs that are all new, in one transaction, and returns its time.
	Enqueue(ctx context.Context, step Step, jobs []*bellhop.Job) (now int64, err error)
	// Exchange ends claims and makes others, in one transaction. What is scheduled for
	// times before due is not worth a look.
	Exchange(ctx context.Context, step Step, r *bellhop.ExchangeRequest, ends []End, due int64) (*Exchanged, error)
}

// ErrCareful says that a call has changed nothing and must go the way that all
// databases share: an id or a unique key may be there already, a row may be locked.
var ErrCareful = errors.New("the call needs a closer look")

// End is an outcome on its way into a [Swift] exchange.
type End struct {
	*bellhop.Outcome
	// Job is the job's number, and Keyed tells whether it has a unique key.
	Job   int64
	Keyed bool
}

// Reason returns the outcome's reason as it can be stored; nil for none.
func (e *End) Reason() *string { return storedText(none(keepable(e.Outcome.Reason))) }

// Failure returns the outcome's failure as it is stored; nil for none.
func (e *End) Failure() *string { return storedText(encodeFailure(e.Outcome.Failure)) }

func storedText(v any) *string {
	if v == nil {
		return nil
	}
	return new(v.(string))
}

// Exchanged is what came of a [Swift] exchange.
type Exchanged struct {
	// Now is the transaction's time.
	Now int64
	// Ended is how many of the ends fitted and were applied.
	Ended int
	// Woken are the queues that have ready jobs again.
	Woken []string
	// Claims are the claims that were made, in their order, and Jobs the numbers of their jobs.
	Claims []bellhop.Claim
	Jobs   []int64
	// Damaged are those of the claims whose jobs cannot be read; see [Damaged].
	Damaged []bellhop.Claim
	// Alive tells whether the process is held alive. If it is not, nothing was claimed.
	Alive bool
	// Seen tells whether the exchange had made claims before. Then nothing was claimed.
	Seen bool
	// Paused is how many of the wanted queues are paused, Cancel how many claims of the process
	// are to be cancelled, NextDue when the next scheduled job is due, or 0.
	Paused, Cancel, NextDue int64
}

// JobText returns tags or metadata as they are stored; nil for none.
func JobText[T []string | map[string]string](v T) *string { return storedText(encode(v, len(v) == 0)) }

// At returns a stored time; 0 is no time.
func At(micros int64) time.Time { return at(micros) }

// enqueueSwiftly is Enqueue where nothing is out of the ordinary.
func (s *Store) enqueueSwiftly(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
	err = s.verb(ctx, bellhop.OpEnqueue, func() error {
		var now int64
		err := Again(ctx, s.Dialect, func() (err error) {
			if now, err = s.swift.Enqueue(ctx, s.stepOf(bellhop.OpEnqueue), r.Jobs); r.Shared {
				err = s.impatient(err)
			}
			return err
		})
		if err != nil {
			return err
		}
		t := &txn{store: s, now: now}
		receipts = ReceiptsOf(r.Jobs, now)
		for i, j := range r.Jobs {
			if receipts[i].State == bellhop.StateReady {
				t.wakeFor(j)
			}
		}
		s.tell(t.woken)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// ReceiptsOf returns the receipts of new jobs that were enqueued at a moment.
func ReceiptsOf(jobs []*bellhop.Job, now int64) []bellhop.Receipt {
	receipts := make([]bellhop.Receipt, len(jobs))
	for i, j := range jobs {
		receipts[i] = bellhop.Receipt{ID: j.ID, State: bellhop.StateReady}
		if j.Due(at(now)).UnixMicro() > now {
			receipts[i].State = bellhop.StateScheduled
		}
	}
	return receipts
}

// exchangeSwiftly is Exchange where nothing is out of the ordinary. What is, such
// as outcomes that do not fit or a queue that is paused, is looked up afterwards.
func (s *Store) exchangeSwiftly(ctx context.Context, r *bellhop.ExchangeRequest) (
	reply *bellhop.ExchangeReply, gone bool, damaged []bellhop.Claim, err error,
) {
	err = s.verb(ctx, bellhop.OpExchange, func() error {
		ends, err := s.ends(ctx, r.Outcomes)
		if err != nil {
			return err
		}
		var done *Exchanged
		err = Again(ctx, s.Dialect, func() (err error) {
			look := s.dues.begin()
			if done, err = s.swift.Exchange(ctx, s.stepOf(bellhop.OpExchange), r, ends, look.from); err == nil {
				s.dues.end(look, done.Now, done.NextDue)
			}
			return err
		})
		if err != nil {
			return err
		}
		t := &txn{store: s, now: done.Now}
		for _, queue := range done.Woken {
			t.wake(queue)
		}
		s.tell(t.woken)
		s.remember(done)
		gone = !r.Process.IsZero() && !done.Alive
		reply = &bellhop.ExchangeReply{Claims: done.Claims}
		reply.Signals.Now, reply.Signals.NextDue = at(done.Now), t.until(done.NextDue)
		if done.Ended != len(r.Outcomes) || done.Seen || done.Paused != 0 || done.Cancel != 0 {
			err = s.lookAgain(ctx, r, done, reply)
		}
		damaged = done.Damaged
		return err
	})
	if err != nil {
		return nil, false, nil, err
	}
	return reply, gone, damaged, nil
}

// lookAgain completes a reply with what is out of the ordinary.
func (s *Store) lookAgain(ctx context.Context, r *bellhop.ExchangeRequest, done *Exchanged, reply *bellhop.ExchangeReply) error {
	return s.Database.Read(ctx, s.stepOf(bellhop.OpExchange), func(tx Tx) error {
		t, err := s.begin(ctx, tx)
		if err != nil {
			return err
		}
		if done.Ended < len(r.Outcomes) {
			if reply.Refused, err = t.refused(ctx, r.Outcomes); err != nil {
				return err
			}
		}
		if done.Seen && done.Alive && claims(r) {
			if reply.Claims, err = t.repeat(ctx, r); err != nil {
				return err
			}
			done.Damaged = t.damaged
			if len(reply.Claims) == 0 { // it claims anew
				return ErrCareful
			}
		}
		if done.Cancel > 0 {
			if reply.Signals.Cancel, err = t.cancelled(ctx, r.Process); err != nil {
				return err
			}
		}
		if done.Paused == 0 {
			return nil
		}
		stopped, err := t.paused(ctx)
		reply.Signals.Paused = pausedWants(r.Wants, stopped)
		return err
	})
}

// refused compares all outcomes of a call with what is recorded: records never change.
func (t *txn) refused(ctx context.Context, outcomes []bellhop.Outcome) ([]bellhop.Refusal, error) {
	s := &settlement{txn: t, outcomes: outcomes}
	for i := range outcomes {
		s.stale = append(s.stale, i)
	}
	return s.refuse(ctx)
}

// remember keeps what the ends of claims will want to know.
func (s *Store) remember(done *Exchanged) {
	if len(done.Claims) == 0 {
		return
	}
	ids, refs := make([]bellhop.ID, len(done.Claims)), make([]jobRef, len(done.Claims))
	for i := range done.Claims {
		c := &done.Claims[i]
		ids[i] = c.Job.ID
		refs[i] = jobRef{done.Jobs[i], c.Job.UniqueKey != "", c.Place.Failures, c.Place.Crashes}
	}
	s.refs.put(ids, refs)
}

// ends finds the rows of the jobs that have come to something. Of two outcomes
// for one claim in one call the first counts. They come in the order of the jobs,
// so that two calls cannot wait for each other.
func (s *Store) ends(ctx context.Context, outcomes []bellhop.Outcome) ([]End, error) {
	if len(outcomes) == 0 {
		return nil, nil
	}
	if err := validKinds(outcomes); err != nil {
		return nil, err
	}
	refs := make([]jobRef, len(outcomes))
	s.refs.take(outcomes, refs)
	if slices.ContainsFunc(refs, func(r jobRef) bool { return r.job == 0 }) {
		err := s.Database.Read(ctx, s.stepOf(bellhop.OpExchange), func(tx Tx) error {
			t, err := s.begin(ctx, tx)
			if err != nil {
				return err
			}
			return (&settlement{txn: t, outcomes: outcomes, refs: refs}).lookUp(ctx)
		})
		if err != nil {
			return nil, err
		}
	}
	ends := make([]End, 0, len(outcomes))
	for i := range outcomes {
		if refs[i].job != 0 {
			ends = append(ends, End{&outcomes[i], refs[i].job, refs[i].keyed})
		}
	}
	slices.SortStableFunc(ends, func(a, b End) int { return cmp.Compare(a.Job, b.Job) })
	return slices.CompactFunc(ends, func(a, b End) bool { return a.Token == b.Token }), nil
}
