package bulk

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/redact"
)

// State says how an operation is doing.
type State string

// The states of an operation. All but the first are ends.
const (
	Running State = "running" // a process works at it, or will take it over soon
	Done    State = "done"    // every job that matched was visited
	Bounded State = "bounded" // as many jobs were changed as its bound allows; more may match
	Stopped State = "stopped" // a person stopped it
	Failed  State = "failed"  // it cannot go on; Error tells why
)

// Operation is an action on many jobs, as it is kept in the store.
type Operation struct {
	// ID names the operation; a newer one has a lesser id.
	ID string `json:"-"`
	// Action is done to each job that Filter selects.
	Action bellhop.Action `json:"action"`
	Filter bellhop.Filter `json:"filter"`
	// Shown says that Filter judges jobs by what is shown of them to those who may not see secrets, since one of those began it.
	Shown bool `json:"shown,omitempty"`
	// By and Reason say who wants it, and why. By is kept for people to read and gives no rights.
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	// Bound is the most jobs that it changes.
	Bound int `json:"bound"`
	// Total is how many jobs matched when it began; Capped says that they were not counted to the end.
	Total  int  `json:"total"`
	Capped bool `json:"capped,omitempty"`

	State State `json:"state"`
	// Done is how many jobs were changed or, as they run, asked to stop.
	Done int `json:"done"`
	// Held is how many were left because an open transaction, or of a retry another job with their unique key, holds them.
	Held int `json:"held,omitempty"`
	// Cursor is where the next bite begins.
	Cursor string `json:"cursor,omitempty"`
	// StartedAt and EndedAt are by the store's clock; the latter is zero while it runs.
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// StopBy is who asked it to stop; empty if nobody did.
	StopBy string `json:"stop_by,omitempty"`
	// Error is what went wrong last, in one line. While the operation runs it is what it is trying to get over.
	Error string `json:"error,omitempty"`

	// Owner is the process that works at it, BeatAt when that last said so. No owner means that it is there for the taking.
	Owner  string    `json:"owner,omitempty"`
	BeatAt time.Time `json:"beat_at"`
	// Takeovers counts how often another process had to go on. What the process before had done since it last wrote down its
	// place, at most [Bite] jobs, is then missing in Done.
	Takeovers int `json:"takeovers,omitempty"`
}

// Goal is the number of changed jobs at which the operation will be through, as far as is known.
func (o *Operation) Goal() int { return min(o.Total, o.Bound) }

// Percent is how far the operation has come, 0 to 100; -1 while it runs and the end is not known.
func (o *Operation) Percent() int {
	switch {
	case o.State == Done || o.State == Bounded:
		return 100
	case o.Capped && o.Total < o.Bound:
		return -1
	case o.Goal() == 0:
		return 0
	}
	return min(100*(o.Done+o.Held)/o.Goal(), 99)
}

// filter returns the filter as stores take it.
func (o *Operation) filter() bellhop.Filter {
	f := o.Filter
	if o.Shown {
		f.Seen = redact.Sight
	}
	return f
}

// Ended reports whether the operation is over.
func (o *Operation) Ended() bool { return o.State != Running }

// idForm is what an id looks like. Nothing else is looked up.
var idForm = regexp.MustCompile(`^[0-9a-f]{24}$`)

// newID makes an id that sorts before those of earlier operations.
func newID(now time.Time) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%016x", ^uint64(now.UnixMicro())) + hex.EncodeToString(random[:])
}

// startOf returns when an operation of this id was started; the zero time if it is no id.
func startOf(id string) time.Time {
	if !idForm.MatchString(id) {
		return time.Time{}
	}
	n, err := strconv.ParseUint(id[:16], 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(int64(^n))
}

// encode writes the operation's record.
func (o *Operation) encode() []byte {
	b, err := json.Marshal(o)
	if err != nil { // names, numbers and times that were checked
		panic(err)
	}
	return b
}

// decode reads a record. A field that it does not know, such as a condition of a newer version's filter, is an error: to leave
// it out would select more jobs than were meant.
func decode(r *bellhop.Record) (*Operation, error) {
	dec := json.NewDecoder(bytes.NewReader(r.Value))
	dec.DisallowUnknownFields()
	o := &Operation{ID: r.Key}
	if err := dec.Decode(o); err != nil {
		return nil, fmt.Errorf("bulk: the record of operation %s cannot be read (was it written by a newer version?): %w", r.Key, err)
	}
	return o, nil
}
