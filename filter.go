package bellhop

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// Filter selects jobs. Conditions are joined by "and", values of one condition
// by "or"; an empty condition selects all.
//
// Conditions on IDs, States, Process and the time of enqueueing are answered from
// indexes, and so are Queues where few enough jobs wait. All others are judged
// job by job, the newest first, as many in a call as [Listing] says.
type Filter struct {
	IDs    []ID
	States StateSet
	Queues []string
	// NotQueues: the job's queue is none of these.
	NotQueues []string
	Kinds     []string
	// Tags: the job has all of them.
	Tags []string
	// Process: running jobs of this process.
	Process ID
	// EnqueuedAfter (inclusive) and EnqueuedBefore (exclusive) bound the time of
	// enqueueing. A store may go by the order of enqueueing: where its clock has
	// been set back by more than a minute, it may miss jobs of that time.
	EnqueuedAfter, EnqueuedBefore time.Time
	// FinishedAfter (inclusive) and FinishedBefore (exclusive) bound the time at
	// which the job ended; jobs that have not ended do not match.
	FinishedAfter, FinishedBefore time.Time
	// Text is looked for in the arguments, byte for byte.
	Text string
	// Args are conditions on single values in the arguments; each must hold.
	Args []ArgMatch
	// Error is looked for, byte for byte, in the class and in the message of the
	// failure with which the job's newest attempt ended.
	Error string
	// Fingerprint is the group of that failure: see [Fingerprint].
	Fingerprint string
	// Seen, if it is not nil, is what the one who asks may see of a job: Text, Args
	// and Error are judged by that, so that a search does not tell what no page
	// shows. It is no condition of its own, and no part of the filter as JSON.
	Seen Sight `json:"-"`
}

// Sight is what somebody may see of a job's arguments and failures. Stores call it
// from several goroutines at once. It must not change what it is given.
type Sight interface {
	// Args returns the arguments, a JSON text, as they are shown.
	Args(args []byte) []byte
	// Failure returns a failure's class and message as they are shown; its stack does
	// not matter. It is never called with nil.
	Failure(f *Failure) *Failure
}

// MaxArgMatches is how many conditions on arguments one filter may have.
const MaxArgMatches = 10

// IsZero reports whether the filter has no condition, and so selects every job.
func (f *Filter) IsZero() bool {
	return len(f.IDs) == 0 && f.States == 0 && len(f.Queues) == 0 && len(f.NotQueues) == 0 && len(f.Kinds) == 0 && len(f.Tags) == 0 &&
		f.Process.IsZero() && f.EnqueuedAfter.IsZero() && f.EnqueuedBefore.IsZero() &&
		f.FinishedAfter.IsZero() && f.FinishedBefore.IsZero() && f.Text == "" && len(f.Args) == 0 && !f.ByFailure()
}

// ByFailure reports whether the filter asks for the failure of the newest attempt.
func (f *Filter) ByFailure() bool { return f.Error != "" || f.Fingerprint != "" }

// ByArgs reports whether the filter looks into the arguments.
func (f *Filter) ByArgs() bool { return f.Text != "" || len(f.Args) > 0 }

// Check tells what no store could answer: more than [MaxArgMatches] conditions on
// arguments, or a fingerprint that is none. The error matches [ErrInvalid].
func (f *Filter) Check() error {
	if len(f.Args) > MaxArgMatches {
		return invalid("filter", "%d conditions on arguments are more than the limit of %d", len(f.Args), MaxArgMatches)
	}
	if f.Fingerprint != "" && (len(f.Fingerprint) != fingerprintSize || strings.Trim(f.Fingerprint, "0123456789abcdef") != "") {
		return invalid("fingerprint", "%q is none: want %d hexadecimal digits, in lower case", f.Fingerprint, fingerprintSize)
	}
	return nil
}

// Matches reports whether a job at a place fulfils all conditions but IDs, which
// stores look up. last is the record of the job's newest attempt, nil if none has
// ended; it is asked for only if the filter is [Filter.ByFailure].
func (f *Filter) Matches(j *Job, p *Place, last *Attempt) bool {
	switch {
	case f.States != 0 && !f.States.Has(p.State),
		len(f.Queues) > 0 && !slices.Contains(f.Queues, j.Queue),
		slices.Contains(f.NotQueues, j.Queue),
		len(f.Kinds) > 0 && !slices.Contains(f.Kinds, j.Kind),
		!f.Process.IsZero() && p.Process != f.Process,
		!f.EnqueuedAfter.IsZero() && j.EnqueuedAt.Before(f.EnqueuedAfter),
		!f.EnqueuedBefore.IsZero() && !j.EnqueuedAt.Before(f.EnqueuedBefore),
		!f.FinishedAfter.IsZero() && (p.FinishedAt.IsZero() || p.FinishedAt.Before(f.FinishedAfter)),
		!f.FinishedBefore.IsZero() && (p.FinishedAt.IsZero() || !p.FinishedAt.Before(f.FinishedBefore)):
		return false
	}
	for _, tag := range f.Tags {
		if !slices.Contains(j.Tags, tag) {
			return false
		}
	}
	return f.matchesFailure(j.Kind, last) && f.matchesArgs(j.Args)
}

func (f *Filter) matchesFailure(kind string, last *Attempt) bool {
	if !f.ByFailure() {
		return true
	}
	if last == nil || last.Failure == nil {
		return false
	}
	e := last.Failure
	if f.Fingerprint != "" && Fingerprint(kind, e) != f.Fingerprint {
		return false
	}
	if f.Error != "" && f.Seen != nil {
		e = f.Seen.Failure(e)
	}
	return f.Error == "" || strings.Contains(e.Message, f.Error) || strings.Contains(e.Class, f.Error)
}

func (f *Filter) matchesArgs(args []byte) bool {
	if f.ByArgs() && f.Seen != nil {
		args = f.Seen.Args(args)
	}
	if f.Text != "" && !bytes.Contains(args, []byte(f.Text)) {
		return false
	}
	for i := range f.Args {
		if !f.Args[i].Matches(args) {
			return false
		}
	}
	return true
}

// Query asks [Store.List] for a page.
type Query struct {
	Filter Filter
	// Limit is the most jobs to return: 1 to 1000; 0 means 50.
	Limit int
	// After is the Next of the page before; empty for the first.
	After string
	// WithoutArgs leaves the arguments out.
	WithoutArgs bool
	// WithLast puts the record of its newest attempt into each job's History.
	WithLast bool
}

// Listing is one page of jobs.
type Listing struct {
	Jobs []Snapshot
	// Next continues; empty at the end. It has no meaning outside the store.
	Next string
	// Examined is how many jobs were looked at for the page. One call of
	// [Store.List] looks at no more than some thousand of each place, and at fewer
	// if it has to read large arguments.
	Examined int
}

// Counted is what one call of [Store.Count] found.
type Counted struct {
	// Count is how many jobs match among those that were looked at.
	Count int
	// Next continues; empty at the end, or if the limit was reached. It has no
	// meaning outside the store.
	Next string
	// Examined is how many jobs were looked at, where that is bounded; what an
	// index or a counter answered at once is not among them.
	Examined int
}

// Tally is how many jobs match a filter, as far as that was counted.
type Tally struct {
	// Count is how many jobs were found.
	Count int `json:"count"`
	// More says that there may be more: the limit was reached, or the bound of
	// what one count examines.
	More bool `json:"more,omitempty"`
	// Examined is after how many jobs the count ended because of that bound; 0 if it did not.
	Examined int `json:"examined,omitempty"`
}
