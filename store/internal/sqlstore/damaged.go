package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gobellhop/bellhop"
)

// A row that was changed by hand, or by another program, may hold tags or metadata that cannot be read. Nobody knows then what its job
// is to be run with, so nobody may run it; but it must not keep those beside it from being run and looked at. Reads show the job without
// them. A claim of it is not handed out but ended: the job is dead, says why, and waits for a person, its row as it is.

// ReadTexts reads a job's tags and metadata as they are stored, and returns what is wrong with them. Of what cannot be read the job has none.
func ReadTexts[T ~string | ~[]byte](j *bellhop.Job, tags, meta T) (damage error) {
	if len(tags) > 0 {
		if err := json.Unmarshal([]byte(tags), &j.Tags); err != nil {
			j.Tags, damage = nil, fmt.Errorf("the job's row is damaged: its tags cannot be read: %w", err)
		}
	}
	if len(meta) > 0 {
		if err := json.Unmarshal([]byte(meta), &j.Meta); err != nil {
			j.Meta, damage = nil, fmt.Errorf("the job's row is damaged: its metadata cannot be read: %w", err)
		}
	}
	return damage
}

// readFailure reads a failure as it is stored; of one that cannot be read it says that.
func readFailure(stored text) (f *bellhop.Failure) {
	if err := stored.decode(&f); err != nil {
		f = &bellhop.Failure{Class: "damaged", Message: fmt.Sprintf("the record of this failure cannot be read: %v", err)}
	}
	return f
}

// Damaged returns a claim whose reason says what is wrong with its job.
func Damaged(c bellhop.Claim, damage error) bellhop.Claim {
	c.Place.Reason = damage.Error() + "; mend the row, and run the job again"
	return c
}

// doubt notes a claim if its job's row is damaged.
func (t *txn) doubt(c bellhop.Claim, damage error) {
	if damage != nil {
		t.damaged = append(t.damaged, Damaged(c, damage))
	}
}

// sound ends the claims that are damaged, and returns the others.
func (s *Store) sound(ctx context.Context, claims, damaged []bellhop.Claim) []bellhop.Claim {
	if len(damaged) == 0 {
		return claims
	}
	r := &bellhop.ExchangeRequest{ID: bellhop.NewID()}
	for i := range damaged {
		o := damaged[i].HandBack(damaged[i].Place.Reason)
		o.Kind, o.Keep = bellhop.OutcomeDead, bellhop.Forever
		r.Outcomes = append(r.Outcomes, o)
	}
	_, _ = s.Exchange(ctx, r) // if that fails, a beat or the sweep finds them again
	return slices.DeleteFunc(claims, func(c bellhop.Claim) bool {
		return slices.ContainsFunc(damaged, func(d bellhop.Claim) bool { return d.Token == c.Token })
	})
}
