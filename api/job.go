package api

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/gobellhop/bellhop"
)

// Job is a job on the wire: what was asked for, and where it is. Times are RFC 3339 in UTC; durations are written as Go
// does ("1m30s"). What is zero is left out, but for the counters that every job has.
type Job struct {
	ID         bellhop.ID        `json:"id"`
	Kind       string            `json:"kind"`
	Queue      string            `json:"queue"`
	State      bellhop.State     `json:"state"`
	Final      bool              `json:"final"`
	Priority   int               `json:"priority"`
	Attempts   int               `json:"attempts"`
	Attempt    int               `json:"attempt"`
	Failures   int               `json:"failures"`
	Crashes    int               `json:"crashes,omitempty"`
	Generation int               `json:"generation,omitempty"`
	EnqueuedAt time.Time         `json:"enqueued_at"`
	Due        time.Time         `json:"due"`
	RunAt      time.Time         `json:"run_at,omitzero"`
	Timeout    string            `json:"timeout,omitempty"`
	Retention  string            `json:"retention,omitempty"`
	UniqueKey  string            `json:"unique_key,omitempty"`
	Tags       []string          `json:"tags,omitempty"`
	Meta       map[string]string `json:"meta,omitempty"`
	// Claim is the number of the newest claim; it only ever grows.
	Claim           int64      `json:"claim"`
	Process         bellhop.ID `json:"process,omitzero"`
	ClaimedAt       time.Time  `json:"claimed_at,omitzero"`
	CancelRequested bool       `json:"cancel_requested,omitempty"`
	Suspect         bool       `json:"suspect,omitempty"`
	Waits           int        `json:"waits,omitempty"`
	FinishedAt      time.Time  `json:"finished_at,omitzero"`
	ExpiresAt       time.Time  `json:"expires_at,omitzero"`
	Reason          string     `json:"reason,omitempty"`
	// Hint says what is unusual about the job's waiting: its queue is paused, or no living process can run it.
	// See [Workforce.Hint].
	Hint string `json:"hint,omitempty"`
	// History holds the newest attempts, oldest first; only where one job is asked for.
	History []Attempt `json:"history,omitempty"`

	// Args, Progress and Result are JSON, byte for byte as they were given. Args are left out of events, and of lists
	// unless they are asked for.
	Args     json.RawMessage `json:"args,omitempty"`
	Progress json.RawMessage `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
}

// Attempt is the record of one claim on the wire.
type Attempt struct {
	Claim      int64               `json:"claim"`
	Generation int                 `json:"generation"`
	Number     int                 `json:"number"`
	Process    bellhop.ID          `json:"process"`
	Outcome    bellhop.OutcomeKind `json:"outcome"`
	Due        time.Time           `json:"due"`
	ClaimedAt  time.Time           `json:"claimed_at"`
	Started    time.Time           `json:"started,omitzero"`
	Ended      time.Time           `json:"ended,omitzero"`
	Failure    *bellhop.Failure    `json:"failure,omitempty"`
	// Log is a [bellhop.Log].
	Log json.RawMessage `json:"log,omitempty"`
}

// NewJob makes the wire form of a job.
func NewJob(s *bellhop.Snapshot) *Job {
	p := &s.Place
	j := &Job{
		ID: s.ID, Kind: s.Kind, Queue: s.Queue, State: p.State, Final: p.State.Final(),
		Priority: s.Priority, Attempts: s.Attempts, Attempt: p.Attempt, Failures: p.Failures, Crashes: p.Crashes,
		Generation: p.Generation, EnqueuedAt: s.EnqueuedAt.UTC(), Due: p.Due.UTC(), RunAt: s.RunAt,
		UniqueKey: s.UniqueKey, Tags: s.Tags, Meta: s.Meta,
		Claim: p.Claim, Process: p.Process, ClaimedAt: p.ClaimedAt, CancelRequested: p.CancelRequested,
		Suspect: p.Suspect, Waits: p.Waits, FinishedAt: p.FinishedAt, ExpiresAt: p.ExpiresAt,
		Reason: p.Reason, Args: s.Args, Progress: p.Progress, Result: p.Result,
	}
	if s.Timeout > 0 {
		j.Timeout = s.Timeout.String()
	}
	if s.Retention == bellhop.Forever {
		j.Retention = "forever"
	} else if s.Retention > 0 {
		j.Retention = s.Retention.String()
	}
	for _, a := range s.History {
		if !json.Valid(a.Log) { // somebody else's; the others' are to be seen all the same
			a.Log = nil
		}
		j.History = append(j.History, Attempt(a))
	}
	return j
}

// AppendJSON appends the job as JSON, with arguments, progress and result as the very bytes that they are.
// [encoding/json.Marshal] changes the white space and the escapes in them.
func (j *Job) AppendJSON(b []byte) []byte {
	type plain Job
	rest, err := json.Marshal(struct {
		*plain
		// The nearer field of a name wins, and these are always left out.
		Args     *bool `json:"args,omitempty"`
		Progress *bool `json:"progress,omitempty"`
		Result   *bool `json:"result,omitempty"`
	}{plain: (*plain)(j)})
	if err != nil { // nothing in it can fail: a state that is none would be a broken store
		panic(err)
	}
	b = append(b, bytes.TrimSuffix(rest, []byte("}"))...)
	for _, raw := range []struct {
		name string
		json json.RawMessage
	}{{"args", j.Args}, {"progress", j.Progress}, {"result", j.Result}} {
		if len(raw.json) > 0 {
			b = append(b, `,"`+raw.name+`":`...)
			b = append(b, raw.json...)
		}
	}
	return append(b, '}')
}

// MarshalJSON writes the job for [encoding/json], which may change white space and escapes in its raw values, but no
// number. See [Job.AppendJSON].
func (j *Job) MarshalJSON() ([]byte, error) { return j.AppendJSON(nil), nil }
