package sqlstore

import (
	"context"
	"slices"

	"github.com/gobellhop/bellhop"
)

// Where several transactions may write at once, the rows of the claims are
// locked and read before anything is done. What they say holds until the
// transaction ends, so that everything else goes in by rows, many at a time.
const heldCols = `job, claim, exchange, process, queue, claimed_at, due, generation, cancel, reason, progress`

var (
	addAttempts = defineRows("add attempts", 13, `insert into bellhop_attempts
		(job, claim, generation, process, exchange, due, claimed_at, number, outcome, started, ended, failure, log) values {rows}`)
	addFinished = defineRows("add finished", 21, `insert into bellhop_finished
		(job, state, finished_at, expires_at, result, number, started, ended, log, process, exchange, claimed_at,
		due, generation, claim, attempt, failures, crashes, suspect, reason, progress) values {rows}`)
	addDead = defineRows("add dead", 14, `insert into bellhop_dead
		(job, queue, finished_at, expires_at, result, due, generation, claim, attempt, failures, crashes, suspect, reason, progress) values {rows}`)
	addLater = defineRows("add scheduled again", 12, `insert into bellhop_scheduled
		(job, queue, cancel, due, generation, claim, attempt, failures, crashes, suspect, reason, progress) values {rows}`)
	endTheseRunning = define("end these running", `delete from bellhop_running where job in ({numbers})`)
	dropTheseKeys   = define("drop these unique keys", `delete from bellhop_unique_keys where job in ({numbers})`)
)

// heldRow is the row of a claim that is held, as it was locked.
type heldRow struct {
	job, claim, claimedAt, due, generation, cancel num
	exchange, process                              uid
	queue, reason                                  text
	progress                                       blob
}

func (h *heldRow) dest() []any {
	return []any{
		&h.job, &h.claim, &h.exchange, &h.process, &h.queue, &h.claimedAt, &h.due, &h.generation, &h.cancel, &h.reason, &h.progress,
	}
}

// settleHeld ends claims whose rows are locked.
func (s *settlement) settleHeld(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	// The records of those that succeeded are in the rows of finished.
	failed := slices.DeleteFunc(slices.Clone(list), func(i int) bool { return s.outcomes[i].Kind == bellhop.OutcomeSucceeded })
	_, err := s.Rows(ctx, addAttempts, len(failed), func(k int, row []any) []any {
		o, h := s.at(failed[k])
		return append(row, int64(h.job), int64(h.claim), int64(h.generation), h.process[:], h.exchange[:], int64(h.due), int64(h.claimedAt),
			int64(o.Number), int64(o.Kind), moment(o.Started), moment(o.Ended), encodeFailure(o.Failure), noBytes(o.Log))
	})
	if err != nil {
		return err
	}
	if err := s.trim(ctx, list); err != nil {
		return err
	}
	if err := s.moveHeld(ctx, list); err != nil {
		return err
	}
	jobs, keyed := make(Numbers, len(list)), Numbers(nil)
	for k, i := range list {
		jobs[k] = s.refs[i].job
		if s.refs[i].keyed && s.outcomes[i].Kind.To().Final() {
			keyed = append(keyed, s.refs[i].job)
		}
	}
	if len(keyed) > 0 {
		if _, err := s.Exec(ctx, dropTheseKeys, keyed.sorted()); err != nil {
			return err
		}
	}
	_, err = s.Exec(ctx, endTheseRunning, jobs.sorted())
	return err
}

// at returns an outcome and the row of its claim.
func (s *settlement) at(i int) (*bellhop.Outcome, *heldRow) {
	return &s.outcomes[i], s.held[s.refs[i].job]
}

// moveHeld adds the jobs where their outcomes say.
func (s *settlement) moveHeld(ctx context.Context, list []int) error {
	var finished, dead, later, back []int
	for _, i := range list {
		switch s.outcomes[i].Kind.To() {
		case bellhop.StateDead:
			dead = append(dead, i)
		case bellhop.StateScheduled:
			later = append(later, i)
		case bellhop.StateReady:
			back = append(back, i)
		default:
			finished = append(finished, i)
		}
	}
	_, err := s.Rows(ctx, addFinished, len(finished), func(k int, row []any) []any {
		o, h := s.at(finished[k])
		row = append(row, int64(h.job), int64(o.Kind.To()), s.now, s.expiry(o.Keep), noBytes(o.Result))
		if o.Kind == bellhop.OutcomeSucceeded {
			row = append(row, int64(o.Number), moment(o.Started), moment(o.Ended), noBytes(o.Log), h.process[:], h.exchange[:], int64(h.claimedAt))
		} else {
			row = append(row, nil, nil, nil, nil, nil, nil, nil)
		}
		return h.settled(append(row, int64(h.due)), o)
	})
	if err != nil {
		return err
	}
	_, err = s.Rows(ctx, addDead, len(dead), func(k int, row []any) []any {
		o, h := s.at(dead[k])
		row = append(row, int64(h.job), string(h.queue), s.now, s.expiry(o.Keep), noBytes(o.Result), int64(h.due))
		return h.settled(row, o)
	})
	if err != nil {
		return err
	}
	_, err = s.Rows(ctx, addLater, len(later), func(k int, row []any) []any {
		o, h := s.at(later[k])
		row = append(row, int64(h.job), string(h.queue), int64(h.cancel), s.now+wait(o.Wait))
		return h.settled(row, o)
	})
	if err != nil {
		return err
	}
	for _, i := range back {
		_, h := s.at(i)
		s.wake(string(h.queue))
	}
	return s.Each(ctx, backToReady, len(back), func(k int, row []any) []any { return s.settled(row, back[k]) }, nil)
}

// settled appends what the rows of all places end with.
func (h *heldRow) settled(row []any, o *bellhop.Outcome) []any {
	reason := none(keepable(o.Reason))
	if reason == nil && o.Kind == bellhop.OutcomeCancelled {
		reason = none(string(h.reason)) // of the request
	}
	return append(row, int64(h.generation), int64(h.claim), int64(o.Attempt), int64(o.Failures), int64(o.Crashes), bit(o.Suspect),
		reason, noBytes(h.progress))
}
