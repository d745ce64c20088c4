package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// Each of these statements names the job's row and repeats the whole token, so
// that an outcome under a stale token changes nothing.
const (
	held        = `r.job = ? and r.claim = ? and r.exchange = ?`
	keptReason  = `coalesce(?, case when ? = 1 then r.reason end)` // a cancel without a reason keeps the request's
	settledCols = `due, generation, claim, attempt, failures, crashes, suspect, reason, progress`
	settledVals = `r.generation, r.claim, ?, ?, ?, ?, ` + keptReason + `, r.progress`
)

var (
	holdRunning  = define("hold running", `select `+heldCols+` from bellhop_running where job in ({numbers}) order by job {lock}`)
	freeRunning  = define("hold unlocked running", `select `+heldCols+` from bellhop_running where job in ({numbers}) order by job {skip}`)
	seenRunning  = define("seen running", `select job, claim, exchange from bellhop_running where job in ({numbers})`)
	unlockedKeys = define("unlocked unique keys", `select job from bellhop_unique_keys where job in ({numbers}) {skip}`)
	refByID      = define("row by id", `select job, case when unique_key is null then 0 else 1 end from bellhop_jobs where id = ?`)
	refsByID     = define("rows by id", `select id, job, case when unique_key is null then 0 else 1 end from bellhop_jobs where id in (`+bite+`)`)
	addAttempt   = define("add attempt", `insert into bellhop_attempts
		(job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, failure, log)
		select r.job, r.claim, r.generation, r.process, r.exchange, r.due, r.claimed_at, ?, ?, ?, ?, ?, ?
		from bellhop_running r where `+held)
	// toSucceeded keeps the record of the attempt in the finished row itself: most
	// jobs succeed, and so one row less is written for each of them.
	toSucceeded = define("running to succeeded", `insert into bellhop_finished
		(job, state, finished_at, expires_at, result, number, started, ended, log, process, exchange, claimed_at, `+settledCols+`)
		select r.job, 5, ?, ?, ?, ?, ?, ?, ?, r.process, r.exchange, r.claimed_at, r.due, `+settledVals+` from bellhop_running r where `+held)
	trimAttempts = define("trim attempts", `delete from bellhop_attempts where job = ? and claim <= ?`)
	toFinished   = define("running to finished", `insert into bellhop_finished
		(job, state, finished_at, expires_at, result, `+settledCols+`)
		select r.job, ?, ?, ?, ?, r.due, `+settledVals+` from bellhop_running r where `+held)
	toDead = define("running to dead", `insert into bellhop_dead
		(job, queue, finished_at, expires_at, result, `+settledCols+`)
		select r.job, r.queue, ?, ?, ?, r.due, `+settledVals+` from bellhop_running r where `+held)
	toScheduled = define("running to scheduled", `insert into bellhop_scheduled
		(job, queue, cancel, `+settledCols+`)
		select r.job, r.queue, r.cancel, ?, `+settledVals+` from bellhop_running r where `+held)
	backToReady = define("running to ready", `insert into bellhop_ready
		(job, queue, priority, kind, cancel, `+settledCols+`)
		select r.job, r.queue, j.priority, j.kind, r.cancel, r.due, `+settledVals+`
		from bellhop_running r cross join bellhop_jobs j where `+held+` and j.job = r.job`)
	endRunning    = define("end running", `delete from bellhop_running where job = ? and claim = ? and exchange = ?`)
	queueOf       = define("queue of job", `select queue from bellhop_jobs where job = ?`)
	recordedClaim = define("recorded outcome", `select a.outcome from bellhop_jobs j cross join bellhop_attempts a
		where j.id = ? and a.job = j.job and a.claim = ? and a.exchange = ?
		union all select 1 from bellhop_jobs j cross join bellhop_finished f
		where j.id = ? and f.job = j.job and f.claim = ? and f.exchange = ?`)
	recordedClaims = define("recorded outcomes", `select j.id, a.claim, a.exchange, a.outcome from bellhop_jobs j cross join bellhop_attempts a
		where j.id in (`+bite+`) and a.job = j.job`)
	recordedSuccesses = define("recorded successes", `select j.id, f.claim, f.exchange, 1 from bellhop_jobs j cross join bellhop_finished f
		where j.id in (`+bite+`) and f.job = j.job and f.state = 5`)
)

// settlement is what becomes of the outcomes of one call.
type settlement struct {
	*txn
	outcomes []bellhop.Outcome
	refs     []jobRef
	held     map[int64]*heldRow // by job, where several may write at once
	stale    []int              // outcomes whose token does not fit, or not any more
	left     []int              // outcomes that have to wait for a transaction of a user
}

// settle applies outcomes and returns the refused, and those that are left.
func (t *txn) settle(ctx context.Context, outcomes []bellhop.Outcome, which reach) (refused []bellhop.Refusal, left []int, err error) {
	if len(outcomes) == 0 {
		return nil, nil, nil
	}
	if err := validKinds(outcomes); err != nil {
		return nil, nil, err
	}
	s := &settlement{txn: t, outcomes: outcomes, refs: make([]jobRef, len(outcomes))}
	t.store.refs.take(outcomes, s.refs)
	if err := s.lookUp(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.hold(ctx, which); err != nil {
		return nil, nil, err
	}
	plain, others := s.sort()
	if s.store.Shared {
		err = s.settleHeld(ctx, others)
	} else {
		err = s.settleAlone(ctx, plain, others)
	}
	if err == nil {
		refused, err = s.refuse(ctx)
	}
	return refused, s.left, err
}

// settleAlone ends claims where there is a single writer.
func (s *settlement) settleAlone(ctx context.Context, plain [][]int, others []int) error {
	for _, list := range plain {
		if err := s.settlePlain(ctx, list); err != nil {
			return err
		}
	}
	fresh, err := s.record(ctx, others)
	if err != nil {
		return err
	}
	return s.move(ctx, fresh)
}

func validKinds(outcomes []bellhop.Outcome) error {
	for i := range outcomes {
		if !outcomes[i].Kind.Valid() {
			return &bellhop.InvalidError{Index: i, Field: "outcome", Reason: outcomes[i].Kind.String() + " is unknown"}
		}
	}
	return nil
}

// sort returns the outcomes that are plain successes, in groups that are each
// alike, and the others. Of two outcomes for one claim in one call the first counts.
func (s *settlement) sort() (plain [][]int, others []int) {
	seen := make(map[bellhop.Token]bool, len(s.outcomes))
	for i := range s.outcomes {
		token := s.outcomes[i].Token
		switch {
		case slices.Contains(s.left, i):
			continue
		case s.refs[i].job == 0 || seen[token]:
			s.stale = append(s.stale, i)
			continue
		case s.plain(i) && !s.store.Shared:
			plain = s.group(plain, i)
		default:
			others = append(others, i)
		}
		seen[token] = true
	}
	plain = slices.DeleteFunc(plain, func(list []int) bool {
		few := len(list) < fewPlain || s.scattered(list)
		if few {
			others = append(others, list...)
		}
		return few
	})
	return plain, others
}

// lookUp finds the rows of the jobs that this store did not hand out itself.
func (s *settlement) lookUp(ctx context.Context) error {
	var ids []bellhop.ID
	for i := range s.refs {
		if s.refs[i].job == 0 {
			ids = append(ids, s.outcomes[i].Token.JobID)
		}
	}
	found := make(map[bellhop.ID]jobRef, len(ids))
	err := s.inBites(ctx, refsByID, ids, func(r Row) error {
		var id uid
		var job, keyed num
		err := r.Scan(&id, &job, &keyed)
		found[bellhop.ID(id)] = jobRef{int64(job), keyed != 0, -1, -1}
		return err
	})
	for i := range s.refs {
		if s.refs[i].job == 0 {
			s.refs[i] = found[s.outcomes[i].Token.JobID]
		}
	}
	return err
}

// record adds the attempts, those that succeeded within their jobs' new rows, and
// returns those whose tokens fit.
func (s *settlement) record(ctx context.Context, list []int) (fresh []int, err error) {
	var succeeded, others []int
	for _, i := range list {
		if s.outcomes[i].Kind == bellhop.OutcomeSucceeded {
			succeeded = append(succeeded, i)
		} else {
			others = append(others, i)
		}
	}
	list, changed := slices.Concat(succeeded, others), make([]int64, len(list))
	err = s.Each(ctx, toSucceeded, len(succeeded), func(i int, row []any) []any {
		o := &s.outcomes[list[i]]
		row = append(row, s.now, s.expiry(o.Keep), noBytes(o.Result), int64(o.Number), moment(o.Started), moment(o.Ended), noBytes(o.Log))
		return s.settled(row, list[i])
	}, changed)
	if err != nil {
		return nil, err
	}
	err = s.Each(ctx, addAttempt, len(others), func(i int, row []any) []any {
		o := &s.outcomes[others[i]]
		row = append(row, int64(o.Number), int64(o.Kind), moment(o.Started), moment(o.Ended), encodeFailure(o.Failure), noBytes(o.Log))
		return s.token(row, others[i])
	}, changed[len(succeeded):])
	if err != nil {
		return nil, err
	}
	for k, i := range list {
		if changed[k] == 0 {
			s.stale = append(s.stale, i)
		} else {
			fresh = append(fresh, i)
		}
	}
	return fresh, s.trim(ctx, fresh)
}

// trim deletes the attempts that are too many.
func (s *settlement) trim(ctx context.Context, fresh []int) error {
	var trim []int
	for _, i := range fresh {
		if s.outcomes[i].Token.Number > bellhop.KeptAttempts {
			trim = append(trim, i)
		}
	}
	return s.Each(ctx, trimAttempts, len(trim), func(i int, row []any) []any {
		return append(row, s.refs[trim[i]].job, s.outcomes[trim[i]].Token.Number-bellhop.KeptAttempts)
	}, nil)
}

// token appends the arguments for held.
func (s *settlement) token(row []any, i int) []any {
	t := &s.outcomes[i].Token
	return append(row, s.refs[i].job, t.Number, t.Exchange[:])
}

// settled appends the arguments for settledVals and held.
func (s *settlement) settled(row []any, i int) []any {
	o := &s.outcomes[i]
	row = append(row, int64(o.Attempt), int64(o.Failures), int64(o.Crashes), bit(o.Suspect),
		none(keepable(o.Reason)), bit(o.Kind == bellhop.OutcomeCancelled))
	return s.token(row, i)
}

// move takes the jobs out of running to where their outcomes say, if they are not there yet.
func (s *settlement) move(ctx context.Context, fresh []int) error {
	to := map[bellhop.State][]int{}
	var keyed []int
	for _, i := range fresh {
		state := s.outcomes[i].Kind.To()
		to[state] = append(to[state], i)
		if state.Final() && s.refs[i].keyed {
			keyed = append(keyed, i)
		}
	}
	var finished []int
	for _, state := range []bellhop.State{bellhop.StateDiscarded, bellhop.StateCancelled} {
		finished = append(finished, to[state]...)
	}
	moves := []struct {
		st   *Stmt
		jobs []int
		args func(row []any, o *bellhop.Outcome) []any
	}{
		{toFinished, finished, func(row []any, o *bellhop.Outcome) []any {
			return append(row, int64(o.Kind.To()), s.now, s.expiry(o.Keep), noBytes(o.Result))
		}},
		{toDead, to[bellhop.StateDead], func(row []any, o *bellhop.Outcome) []any {
			return append(row, s.now, s.expiry(o.Keep), noBytes(o.Result))
		}},
		{toScheduled, to[bellhop.StateScheduled], func(row []any, o *bellhop.Outcome) []any {
			return append(row, s.now+wait(o.Wait))
		}},
		{backToReady, to[bellhop.StateReady], func(row []any, _ *bellhop.Outcome) []any { return row }},
	}
	for _, m := range moves {
		err := s.Each(ctx, m.st, len(m.jobs), func(i int, row []any) []any {
			return s.settled(m.args(row, &s.outcomes[m.jobs[i]]), m.jobs[i])
		}, nil)
		if err != nil {
			return err
		}
	}
	for _, i := range to[bellhop.StateReady] {
		err := s.Query(ctx, queueOf, func(r Row) error {
			var queue text
			err := r.Scan(&queue)
			s.wake(string(queue))
			return err
		}, s.refs[i].job)
		if err != nil {
			return err
		}
	}
	if err := s.dropKeys(ctx, keyed); err != nil {
		return err
	}
	return s.Each(ctx, endRunning, len(fresh), func(i int, row []any) []any { return s.token(row, fresh[i]) }, nil)
}

// dropKeys frees the unique keys of jobs that have ended.
func (s *settlement) dropKeys(ctx context.Context, keyed []int) error {
	return s.Each(ctx, dropKey, len(keyed), func(i int, row []any) []any { return append(row, s.refs[keyed[i]].job) }, nil)
}

// expiry returns when what ends now expires; nil for never.
func (t *txn) expiry(keep time.Duration) any {
	if keep < 0 {
		return nil
	}
	return t.now + wait(keep)
}

// refuse answers outcomes whose claim is not held: a success if the same
// outcome is recorded for it, else a refusal.
func (s *settlement) refuse(ctx context.Context) ([]bellhop.Refusal, error) {
	recorded, err := s.recordedAll(ctx)
	if err != nil {
		return nil, err
	}
	var refused []bellhop.Refusal
	for _, i := range s.stale {
		if kind := recorded[s.outcomes[i].Token]; kind != s.outcomes[i].Kind {
			refused = append(refused, bellhop.Refusal{Index: i, Err: bellhop.ErrStale, Recorded: kind})
		}
	}
	slices.SortFunc(refused, func(a, b bellhop.Refusal) int { return cmp.Compare(a.Index, b.Index) })
	return refused, nil
}

// recordedAll returns what is recorded for the claims of stale outcomes.
func (s *settlement) recordedAll(ctx context.Context) (map[bellhop.Token]bellhop.OutcomeKind, error) {
	recorded := make(map[bellhop.Token]bellhop.OutcomeKind, len(s.stale))
	if len(s.stale) == 1 {
		token := s.outcomes[s.stale[0]].Token
		kind, err := s.recorded(ctx, &token)
		recorded[token] = kind
		return recorded, err
	}
	ids := make([]bellhop.ID, len(s.stale))
	for k, i := range s.stale {
		ids[k] = s.outcomes[i].Token.JobID
	}
	for _, st := range []*Stmt{recordedClaims, recordedSuccesses} {
		err := s.inBites(ctx, st, ids, func(r Row) error {
			var id, exchange uid
			var claim, kind num
			err := r.Scan(&id, &claim, &exchange, &kind)
			recorded[bellhop.Token{JobID: bellhop.ID(id), Number: int64(claim), Exchange: bellhop.ID(exchange)}] = bellhop.OutcomeKind(kind)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return recorded, nil
}

// recorded returns what is recorded for a claim that has ended, or 0.
func (t *txn) recorded(ctx context.Context, token *bellhop.Token) (bellhop.OutcomeKind, error) {
	var kind num
	err := t.Query(ctx, recordedClaim, func(r Row) error { return r.Scan(&kind) },
		token.JobID[:], token.Number, token.Exchange[:], token.JobID[:], token.Number, token.Exchange[:])
	return bellhop.OutcomeKind(kind), err
}

// bite is a list of so many parameters that a call of a thousand is a few
// statements, and so few that a call of one is no waste.
var bite = "?" + strings.Repeat(", ?", biteSize-1)

const biteSize = 50

// inBites runs a query with a bite in it for all ids. The last one is filled up
// with an id that was there already.
func (t *txn) inBites(ctx context.Context, st *Stmt, ids []bellhop.ID, scan func(Row) error) error {
	args := make([]any, biteSize)
	for some := range slices.Chunk(ids, biteSize) {
		for i := range args {
			args[i] = some[min(i, len(some)-1)][:]
		}
		if err := t.Query(ctx, st, scan, args...); err != nil {
			return err
		}
	}
	return nil
}
