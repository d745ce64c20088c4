package sqlstore

import (
	"strings"

	"github.com/gobellhop/bellhop"
)

// attemptColumns are those of an attempt's record a, as a lastRow reads them, and
// successColumns those of the record that is in the row p of a job that succeeded.
// A history has the log as well, which may be long.
const (
	attemptColumns = `a.claim, a.generation, a.number, a.process, a.outcome, a.due, a.claimed_at, a.started, a.ended, a.failure`
	successColumns = `p.claim, p.generation, p.number, p.process, 1, p.due, p.claimed_at, p.started, p.ended, null`
)

// lastColumns are those of the newest attempt of a job at the place p, of which a
// is the record among the attempts, if it is there.
func lastColumns(p *place) string {
	if p != placeFinished {
		return attemptColumns
	}
	record, success := strings.Split(attemptColumns, ", "), strings.Split(successColumns, ", ")
	for i := range record {
		record[i] = `case when p.state = 5 then ` + success[i] + ` else ` + record[i] + ` end`
	}
	return strings.Join(record, ", ")
}

// lastOf is the condition that a is the record of the newest attempt of the job at
// the place p that has ended: each claim leaves one, so its number is known.
func lastOf(p *place) string {
	if p == placeRunning {
		return `a.job = p.job and a.claim = p.claim - 1`
	}
	return `a.job = p.job and a.claim = p.claim`
}

// lastRow reads an attempt's record, or none.
type lastRow struct {
	claim, generation, number, outcome, due, claimedAt, started, ended num

	process uid
	failure text
	log     blob // of a history
}

func (l *lastRow) all() []any {
	return []any{&l.claim, &l.generation, &l.number, &l.process, &l.outcome, &l.due, &l.claimedAt, &l.started, &l.ended, &l.failure}
}

func (l *lastRow) withLog() []any { return append(l.all(), &l.log) }

// attempt returns the record that was read, if there was one.
func (l *lastRow) attempt() ([]bellhop.Attempt, error) {
	if l.claim == 0 {
		return nil, nil
	}
	a := bellhop.Attempt{
		Claim: int64(l.claim), Generation: int(l.generation), Number: int(l.number), Process: bellhop.ID(l.process),
		Outcome: bellhop.OutcomeKind(l.outcome), Due: l.due.time(), ClaimedAt: l.claimedAt.time(), Started: l.started.time(), Ended: l.ended.time(),
		Log: []byte(l.log),
	}
	a.Failure = readFailure(l.failure)
	return []bellhop.Attempt{a}, nil
}
