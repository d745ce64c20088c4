package memory

import (
	"slices"

	"github.com/gobellhop/bellhop"
)

// attempt is the record of an attempt that has ended. There is at least one for
// each finished job, so it is half the size of a [bellhop.Attempt]; what is the same
// for all claims of an exchange is there once. The exchange also tells a repeated
// outcome from one under a wrong token.
type attempt struct {
	exchange            *exchange
	claim               int64
	generation, number  int32
	due, started, ended moment
	failure             *bellhop.Failure
	log                 []byte
	outcome             bellhop.OutcomeKind
}

// record adds the record of the attempt that o ends.
func (j *job) record(o *bellhop.Outcome) {
	if j.last.outcome != 0 {
		if len(j.earlier) == bellhop.KeptAttempts-1 {
			j.earlier = slices.Delete(j.earlier, 0, 1)
		}
		j.earlier = append(j.earlier, j.last)
	}
	j.last = attempt{
		exchange: j.exchange, claim: j.place.claim, generation: j.place.generation, number: int32(o.Number), outcome: o.Kind,
		due: j.place.due, started: momentOf(o.Started), ended: momentOf(o.Ended), failure: copyFailure(o.Failure), log: copyBytes(o.Log),
	}
}

// attempts calls yield for each record, newest first.
func (j *job) attempts(yield func(*attempt) bool) {
	if j.last.outcome == 0 || !yield(&j.last) {
		return
	}
	for i := len(j.earlier) - 1; i >= 0; i-- {
		if !yield(&j.earlier[i]) {
			return
		}
	}
}

// snapshot returns the record as its readers know it.
func (a *attempt) snapshot() bellhop.Attempt {
	return bellhop.Attempt{
		Claim: a.claim, Generation: int(a.generation), Number: int(a.number), Process: a.exchange.process, Outcome: a.outcome,
		Due: a.due.time(), ClaimedAt: a.exchange.claimedAt.time(), Started: a.started.time(), Ended: a.ended.time(),
		Failure: copyFailure(a.failure), Log: copyBytes(a.log),
	}
}
