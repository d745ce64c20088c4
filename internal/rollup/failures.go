package rollup

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop"
)

// FailureGroup is what failures with one fingerprint have in common: of one kind, class and message with its variable parts taken out.
type FailureGroup struct {
	Fingerprint string
	Kind        string
	Class       string
	// Pattern is the message without its variable parts; Sample is one of the messages as it was.
	Pattern, Sample string
	// Queues are some of the queues of the jobs.
	Queues []string
	// Count is how many attempts failed so, and Dead how many of them ended their jobs.
	Count, Dead int64
	// First and Last are when the first and the last of them ended, within the range.
	First, Last time.Time
	// LastJob is the job of the last one.
	LastJob bellhop.ID
	// Points counts those of each step of the range.
	Points []int64
}

// Failures are the groups of failures of a range.
type Failures struct {
	Range
	// Groups come with those that failed most often first.
	Groups []FailureGroup
	// Rest is how many failures are in no group, because there were too many different ones.
	Rest int64
}

// Failures reads the groups of failures of a range; a kind that is not empty narrows it to that.
func (r *Reader) Failures(ctx context.Context, rng Range, kind string) (*Failures, error) {
	return &Failures{Range: rng}, nil
}
