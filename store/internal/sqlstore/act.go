package sqlstore

import (
	"context"

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
	dropTries = define("delete attempts", `delete from bellhop_attempts where job = ?`)

	leavePlace = func() map[*place]*Stmt {
		m := map[*place]*Stmt{}
		for _, p := range places {
			m[p] = define("leave "+p.name, `delete from `+p.table+` where job = ?`)
		}
		return m
	}()
)

// Act implements [bellhop.Store].
func (s *Store) Act(ctx context.Context, r *bellhop.ActRequest) (reply *bellhop.ActReply, err error) {
	if !r.Action.Valid() {
		return nil, &bellhop.InvalidError{Index: -1, Field: "action", Reason: r.Action.String() + " is unknown"}
	}
	err = s.write(ctx, bellhop.OpAct, func(ctx context.Context, t *txn) (err error) {
		reply = &bellhop.ActReply{}
		a := &actor{t, r, reply}
		if len(r.IDs) > 0 {
			return a.byID(ctx)
		}
		return a.byFilter(ctx)
	})
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
		if err != nil {
			return err
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

func (a *actor) byFilter(ctx context.Context) error {
	limit := a.request.Limit
	if limit <= 0 || limit > maxPage {
		limit = maxPage
	}
	f := a.request.Filter
	if f.States == 0 {
		f.States = bellhop.AllStates
	}
	f.States &= a.request.Action.From()
	if f.States == 0 {
		return nil
	}
	page, next, err := a.page(ctx, &f, a.request.After, limit, true)
	if err != nil {
		return err
	}
	a.reply.Next = next
	for _, j := range page {
		if err := a.act(ctx, j); err != nil {
			return err
		}
	}
	return nil
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
	n, err := a.Exec(ctx, takeKey, j.UniqueKey, j.number)
	if err != nil || n > 0 {
		return n > 0, err
	}
	var holder uid
	var number num
	err = a.Query(ctx, keyHolder, func(r Row) error { return r.Scan(&holder, &number) }, j.UniqueKey)
	a.reply.Skipped = append(a.reply.Skipped, bellhop.Skip{ID: j.ID, State: j.Place.State, Holder: bellhop.ID(holder)})
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
