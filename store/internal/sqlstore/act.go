package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	movedCols = `due, generation, claim, attempt, failures, crashes, suspect, cancel, reason, progress`
	movedVals = `?, ?, ?, ?, ?, ?, ?, ?, ?, ?`
)

var (
	enterReady = define("enter ready", `insert into bellhop_ready (job, queue, priority, kind, `+movedCols+`)
		values (?, ?, ?, ?, `+movedVals+`)`)
	enterFinished = define("enter finished", `insert into bellhop_finished
		(job, state, finished_at, expires_at, result, due, generation, claim, attempt, failures, crashes, suspect, reason, progress)
		values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	askCancel = define("request cancel", `update bellhop_running set cancel = 1, reason = ? where job = ?`)
	deleteJob = define("delete job", `delete from bellhop_jobs where job = ?`)
	keepTry   = define("keep attempt", `insert into bellhop_attempts
		(job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, log)
		select job, claim, generation, process, exchange, due, claimed_at, number, 1, started, ended, log from bellhop_finished where job = ?`)
	dropTries = define("delete attempts", `delete from bellhop_attempts where job = ?`)

	// holdPlace locks a job's row in a place, if it is still the one that was read;
	// holdUnlocked passes over one that another holds.
	holdPlace    = holding("hold place ", "{lock}")
	holdUnlocked = holding("hold unlocked place ", "{skip}")

	leavePlace = func() map[*place]*Stmt {
		m := map[*place]*Stmt{}
		for _, p := range places {
			m[p] = define("leave "+p.name, `delete from `+p.table+` where job = ?`)
		}
		return m
	}()
)

func holding(name, lock string) map[*place]*Stmt {
	m := map[*place]*Stmt{}
	for _, p := range places {
		m[p] = define(name+p.name, `select job from `+p.table+` where job = ? and claim = ? and generation = ? `+lock)
	}
	return m
}

// actPatience is how long an action waits for jobs that other transactions hold,
// before it goes on without them: longer than any of ours takes.
const actPatience = 2 * time.Second

// Act implements [bellhop.Store].
func (s *Store) Act(ctx context.Context, r *bellhop.ActRequest) (reply *bellhop.ActReply, err error) {
	if !r.Action.Valid() {
		return nil, &bellhop.InvalidError{Index: -1, Field: "action", Reason: r.Action.String() + " is unknown"}
	}
	f, limit := r.Filter, r.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	if f.States == 0 {
		f.States = bellhop.AllStates
	}
	if f.States &= r.Action.From(); len(r.IDs) == 0 && f.States == 0 {
		if r.Fence != nil { // compared all the same
			if err := s.Put(ctx, r.Fence.Checks()); err != nil {
				return nil, err
			}
		}
		return &bellhop.ActReply{}, nil
	}
	var chosen *selection
	if s.Shared && len(r.IDs) == 0 {
		// All places are looked at in one moment, which takes a transaction of its own.
		err := s.verb(ctx, bellhop.OpAct, func() error {
			return s.Database.Read(ctx, nil, func(tx Tx) error {
				t, err := s.begin(ctx, tx)
				if err == nil {
					chosen, err = t.choose(ctx, &f, r.After, limit)
				}
				return err
			})
		})
		if err != nil {
			return nil, err
		}
	}
	began := time.Now()
	do := func(which reach) error {
		return s.write(ctx, bellhop.OpAct, func(ctx context.Context, t *txn) (err error) {
			reply = &bellhop.ActReply{}
			defer func() {
				if which == unlocked || time.Since(began) > actPatience {
					err = s.impatient(err)
				}
			}()
			a := &actor{t, r, reply, which}
			if len(r.IDs) > 0 {
				err = a.byID(ctx)
			} else {
				if !s.Shared {
					if chosen, err = t.choose(ctx, &f, r.After, limit); err != nil {
						return err
					}
				}
				err = a.byFilter(ctx, &f, chosen)
			}
			if err != nil {
				return err
			}
			return t.fenced(ctx, r.Fence)
		})
	}
	if err = do(all); errors.Is(err, bellhop.ErrLocked) {
		err = do(unlocked)
	}
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// actor does an action to jobs.
type actor struct {
	*txn
	request *bellhop.ActRequest
	reply   *bellhop.ActReply
	which   reach
}

func (a *actor) byID(ctx context.Context) error {
	row := newRow()
	seen := make(map[bellhop.ID]bool, len(a.request.IDs))
	for _, id := range a.request.IDs {
		if seen[id] {
			continue
		}
		seen[id] = true
		j, err := a.load(ctx, id, row)
		locked := false
		if err == nil {
			j, locked, err = a.fresh(ctx, j, row)
		}
		if err != nil {
			return err
		}
		if locked {
			continue
		}
		if j == nil {
			a.reply.Skipped = append(a.reply.Skipped, bellhop.Skip{ID: id})
			continue
		}
		if !a.request.Action.From().Has(j.Place.State) {
			a.reply.Skipped = append(a.reply.Skipped, bellhop.Skip{ID: id, State: j.Place.State})
			continue
		}
		if err := a.act(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// selection is what a call by filter visits.
type selection struct {
	jobs []*numbered
	next string
}

func (t *txn) choose(ctx context.Context, f *bellhop.Filter, after string, limit int) (*selection, error) {
	p, err := t.page(ctx, f, after, limit, shape{args: t.store.Shared, last: t.store.Shared && f.ByFailure()})
	if err != nil {
		return nil, err
	}
	return &selection{p.jobs, p.next}, nil
}

func (a *actor) byFilter(ctx context.Context, f *bellhop.Filter, chosen *selection) (err error) {
	a.reply.Next = chosen.next
	row := newRow()
	for _, j := range chosen.jobs {
		copied, locked := *j, false // the action changes it, and may be tried again
		if j, locked, err = a.fresh(ctx, &copied, row); err != nil {
			return err
		}
		// A single writer has just read it, without its arguments.
		if locked || j == nil || a.store.Shared && (!f.States.Has(j.Place.State) || !j.matches(f)) {
			continue
		}
		if err := a.act(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// fresh returns a job as it is, with its row locked: as it was read if it has
// not moved since, or read again; nil if it has been deleted. One that is locked by
// another is reported, if only the others are to be reached.
func (a *actor) fresh(ctx context.Context, j *numbered, row *row) (_ *numbered, locked bool, err error) {
	if !a.store.Shared {
		return j, false, nil
	}
	hold := holdPlace
	if a.which == unlocked {
		hold = holdUnlocked
	}
	for j != nil {
		held := false
		err := a.Query(ctx, hold[placeOf(j.Place.State)], func(r Row) error {
			held = true
			return r.Scan(new(num))
		}, j.number, j.Place.Claim, int64(j.Place.Generation))
		if err != nil || held {
			return j, false, err
		}
		before := j
		if j, err = a.load(ctx, before.ID, row); err != nil {
			return nil, false, err
		}
		if j != nil && a.which == unlocked && sameRow(&before.Place, &j.Place) {
			a.reply.Skipped = append(a.reply.Skipped, bellhop.Skip{ID: j.ID, State: j.Place.State, Locked: true})
			return nil, true, nil
		}
		if j != nil && a.request.Filter.ByFailure() {
			if j.History, err = a.last(ctx, j); err != nil {
				return nil, false, err
			}
		}
	}
	return nil, false, nil
}

// sameRow reports whether a job stands where it stood.
func sameRow(a, b *bellhop.Place) bool {
	return placeOf(a.State) == placeOf(b.State) && a.Claim == b.Claim && a.Generation == b.Generation
}

// act does the action to a job in one of its states, and adds to the reply what came of it.
func (a *actor) act(ctx context.Context, j *numbered) (err error) {
	p := &j.Place
	from := placeOf(p.State)
	switch a.request.Action {
	case bellhop.ActDelete:
		err = a.delete(ctx, j, from)
	case bellhop.ActRetry:
		if j.UniqueKey != "" {
			if taken, err := a.retake(ctx, j); err != nil || !taken {
				return err
			}
		}
		if p.State == bellhop.StateSucceeded {
			if _, err := a.Exec(ctx, keepTry, j.number); err != nil {
				return err
			}
		}
		*p = bellhop.Place{Due: at(a.now), Generation: p.Generation + 1, Claim: p.Claim}
		err = a.toReady(ctx, j, from)
	case bellhop.ActRunNow:
		p.Due, p.CancelRequested = at(a.now), false
		err = a.toReady(ctx, j, from)
	default: // cancel, discard
		if p.State == bellhop.StateRunning {
			_, err = a.Exec(ctx, askCancel, none(keepable(a.request.Reason)), j.number)
			a.reply.Signalled = append(a.reply.Signalled, j.ID)
			return err
		}
		err = a.finish(ctx, j, from)
	}
	a.reply.Changed = append(a.reply.Changed, j.ID)
	return err
}

// retake takes a job's unique key again, or says who holds it.
func (a *actor) retake(ctx context.Context, j *numbered) (taken bool, err error) {
	if locker, ok := a.store.Dialect.(KeyLocker); ok {
		if err := locker.LockKeys(ctx, a, []string{j.UniqueKey}); err != nil {
			return false, err
		}
	}
	n, err := a.Exec(ctx, takeKey, j.UniqueKey, j.number)
	if err != nil || n > 0 {
		return n > 0, err
	}
	holder, _, err := a.keyHolder(ctx, j.UniqueKey)
	a.reply.Skipped = append(a.reply.Skipped, bellhop.Skip{ID: j.ID, State: j.Place.State, Holder: holder})
	return false, err
}

func (a *actor) toReady(ctx context.Context, j *numbered, from *place) error {
	if _, err := a.Exec(ctx, leavePlace[from], j.number); err != nil {
		return err
	}
	a.wake(j.Queue)
	p := &j.Place
	_, err := a.Exec(ctx, enterReady, j.number, j.Queue, int64(j.Priority), j.Kind,
		p.Due.UnixMicro(), int64(p.Generation), p.Claim, int64(p.Attempt), int64(p.Failures), int64(p.Crashes), bit(p.Suspect),
		bit(p.CancelRequested), none(keepable(a.request.Reason)), noBytes(p.Progress))
	return err
}

// finish ends a job that waits, or moves a dead one.
func (a *actor) finish(ctx context.Context, j *numbered, from *place) error {
	if _, err := a.Exec(ctx, leavePlace[from], j.number); err != nil {
		return err
	}
	if j.UniqueKey != "" {
		if _, err := a.Exec(ctx, dropKey, j.number); err != nil {
			return err
		}
	}
	p, to := &j.Place, a.request.Action.To()
	_, err := a.Exec(ctx, enterFinished, j.number, int64(to), a.now, a.expiry(j.Keep(to)), noBytes(p.Result),
		p.Due.UnixMicro(), int64(p.Generation), p.Claim, int64(p.Attempt), int64(p.Failures), int64(p.Crashes), bit(p.Suspect),
		none(keepable(a.request.Reason)), noBytes(p.Progress))
	return err
}

func (a *actor) delete(ctx context.Context, j *numbered, from *place) error {
	for _, st := range []*Stmt{leavePlace[from], dropKey, dropTries, deleteJob} {
		if _, err := a.Exec(ctx, st, j.number); err != nil {
			return err
		}
	}
	return nil
}
