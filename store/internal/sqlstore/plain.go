package sqlstore

import (
	"context"

	"github.com/gobellhop/bellhop"
)

// Most outcomes are successes with nothing more to say, and those of one call
// mostly belong to one exchange and to jobs with neighbouring numbers. They go
// through these statements, which differ from job to job in four values only.
//
// In the range from the first of the jobs to the last, a running row of the
// exchange whose job is also among the finished is one of them: the other outcomes of the
// call come later.
var (
	addPlain = defineRows("add plain successes", 4, `insert into bellhop_finished
		(job, state, finished_at, expires_at, due, generation, claim, attempt, failures, crashes, suspect, progress,
		number, process, exchange, claimed_at, started, ended)
		with v (job, claim, started, ended) as (values {rows})
		select r.job, 5, ?, ?, r.due, r.generation, r.claim, ?, r.failures, r.crashes, 0, r.progress,
		?, r.process, r.exchange, r.claimed_at, v.started, v.ended
		from v cross join bellhop_running r where r.job = v.job and r.claim = v.claim and r.exchange = ?`)
	endSucceeded = define("end succeeded", `delete from bellhop_running as r where r.job between ? and ? and r.exchange = ?
		and exists (select 1 from bellhop_finished f where f.job = r.job)`)
	stillHeld = define("still held", `select count(*) from bellhop_running r where `+held)
)

// fewPlain is how many plain outcomes are not worth the trouble.
const fewPlain = 4

// plain reports whether an outcome is a success with nothing to say.
func (s *settlement) plain(i int) bool {
	o, ref := &s.outcomes[i], &s.refs[i]
	return o.Kind == bellhop.OutcomeSucceeded && !o.Suspect && o.Reason == "" && len(o.Result) == 0 && o.Failure == nil && len(o.Log) == 0 &&
		o.Failures == ref.failures && o.Crashes == ref.crashes && o.Token.Number <= bellhop.KeptAttempts
}

// group puts a plain outcome to those that it is like, if they are among the newest groups.
func (s *settlement) group(groups [][]int, i int) [][]int {
	for k := len(groups) - 1; k >= max(0, len(groups)-8); k-- {
		if s.alike(i, groups[k][0]) {
			groups[k] = append(groups[k], i)
			return groups
		}
	}
	return append(groups, []int{i})
}

// scattered reports whether so many other jobs may stand between those of the
// outcomes that looking at the whole range would not pay.
func (s *settlement) scattered(list []int) bool {
	first, last := s.refs[list[0]].job, s.refs[list[0]].job
	for _, i := range list {
		first, last = min(first, s.refs[i].job), max(last, s.refs[i].job)
	}
	return last-first > int64(100+20*len(list))
}

// settlePlain ends claims by outcomes that are plain and alike.
func (s *settlement) settlePlain(ctx context.Context, list []int) error {
	o := &s.outcomes[list[0]]
	added, err := s.Rows(ctx, addPlain, len(list), func(k int, row []any) []any {
		o := &s.outcomes[list[k]]
		return append(row, s.refs[list[k]].job, o.Token.Number, moment(o.Started), moment(o.Ended))
	}, s.now, s.expiry(o.Keep), int64(o.Attempt), int64(o.Number), o.Token.Exchange[:])
	if err != nil {
		return err
	}
	if added < int64(len(list)) {
		if list, err = s.stillHeld(ctx, list); err != nil || len(list) == 0 {
			return err
		}
	}
	first, last, keyed := s.refs[list[0]].job, s.refs[list[0]].job, []int(nil)
	for _, i := range list {
		first, last = min(first, s.refs[i].job), max(last, s.refs[i].job)
		if s.refs[i].keyed {
			keyed = append(keyed, i)
		}
	}
	if err := s.dropKeys(ctx, keyed); err != nil {
		return err
	}
	_, err = s.Exec(ctx, endSucceeded, first, last, o.Token.Exchange[:])
	return err
}

// stillHeld returns the outcomes whose claims are held, and notes the others as stale.
func (s *settlement) stillHeld(ctx context.Context, list []int) (fresh []int, err error) {
	for _, i := range list {
		n, err := s.count(ctx, stillHeld, s.token(nil, i)...)
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			s.stale = append(s.stale, i)
		default:
			fresh = append(fresh, i)
		}
	}
	return fresh, nil
}

// alike reports whether two plain outcomes differ in nothing but their jobs and times.
func (s *settlement) alike(i, k int) bool {
	a, b := &s.outcomes[i], &s.outcomes[k]
	return a.Token.Exchange == b.Token.Exchange && a.Number == b.Number && a.Attempt == b.Attempt && a.Keep == b.Keep
}
