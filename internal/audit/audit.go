// Package audit keeps who did what: every action that a person or a program has done through the API, the dashboard or the
// command line, and those that were refused.
//
// An [Entry] is a small record in the store (space "audit"), so that the audit is the same from whatever process one looks at
// it, and lives as long as the jobs that it speaks of: [Kept]. No job passes through here. What acts on jobs calls [Log.Write]
// when it has done so, or has been refused; [List] reads the entries again, newest first.
package audit

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
)

// Kept is how long an entry is kept.
const Kept = 90 * 24 * time.Hour

// space holds the records. Their keys begin with the time until the end of time, so that the newest come first.
const space = "audit"

// Ways by which something is done.
const (
	ViaAPI = "api"
	ViaWeb = "web"
	ViaCLI = "cli"
)

// Entry is one action, or one attempt at it.
type Entry struct {
	// At is when, by the clock of the process that wrote it. Default: now.
	At time.Time `json:"at"`
	// Who is the viewer's name, or the user of the command line. Empty if nobody knows: a stranger who was refused.
	Who string `json:"who,omitempty"`
	// Via is [ViaAPI], [ViaWeb] or [ViaCLI].
	Via string `json:"via"`
	// Remote is the address of the client; with the command line, the name of the host.
	Remote string `json:"remote,omitempty"`
	// Action says what was done: "retry", "pause", "drain", "reveal".
	Action string `json:"action"`
	// Queue is where; empty if several queues are concerned, or none.
	Queue string `json:"queue,omitempty"`
	// Target is to what: the id of a job or process; empty if there were several.
	Target string `json:"target,omitempty"`
	// Filter selects what it was done to, if that was not named: see [FilterText].
	Filter string `json:"filter,omitempty"`
	// Count is how many jobs were concerned. If an entry stands for several like actions, it is their sum, or how many they are.
	Count int `json:"count,omitempty"`
	// Reason is what the one who did it has given as reason.
	Reason string `json:"reason,omitempty"`
	// Refused says why it was not done; empty if it was.
	Refused string `json:"refused,omitempty"`
	// Times is how many like actions the entry stands for; 0 if it is one. See [Log].
	Times int `json:"times,omitempty"`
}

// clean caps and cleans all texts, since some come from strangers.
func (e *Entry) clean() {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	for _, field := range []struct {
		text *string
		most int
	}{
		{&e.Who, 64},
		{&e.Via, 16},
		{&e.Remote, 256},
		{&e.Action, 64},
		{&e.Queue, 128},
		{&e.Target, 256},
		{&e.Filter, maxFilter},
		{&e.Reason, 512},
		{&e.Refused, 256},
	} {
		*field.text = bellhop.CleanText(*field.text, field.most)
	}
}

// lastStamp is the time in the newest key, in microseconds.
var lastStamp atomic.Int64

// newKey returns the key of a new record. Entries that one process writes in the same microsecond keep their order.
func newKey(at time.Time) string {
	stamp := at.UnixMicro()
	if last := lastStamp.Load(); stamp <= last && last-stamp < time.Second.Microseconds() {
		stamp = lastStamp.Add(1)
	} else {
		lastStamp.Store(stamp)
	}
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%016x-%s", math.MaxInt64-stamp, hex.EncodeToString(random[:]))
}

// Write writes one entry. What writes many, or for strangers, does it through a [Log].
func Write(ctx context.Context, store bellhop.Store, e Entry) error {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	return put(ctx, store, newKey(e.At), e)
}

func put(ctx context.Context, store bellhop.Store, key string, e Entry) error {
	e.clean()
	value, err := json.Marshal(e)
	if err != nil { // texts, numbers and a time always encode; but for a year beyond 9999
		return fmt.Errorf("audit: %w", err)
	}
	write := bellhop.RecordWrite{Space: space, Key: key, Value: value, Expect: bellhop.ExpectAny, TTL: Kept}
	if err := store.Put(ctx, []bellhop.RecordWrite{write}); err != nil {
		return fmt.Errorf("audit: write an entry: %w", err)
	}
	return nil
}

const (
	maxPage     = 1000 // entries in a page
	maxExamined = 5000 // entries looked at in one call
)

// Query asks for entries, newest first. Its conditions are joined by "and"; empty ones hold for all.
type Query struct {
	// Who, Via, Action, Queue and Target are as in an [Entry].
	Who, Via, Action, Queue, Target string
	// Refused: only what was refused.
	Refused bool
	// Since (inclusive) and Until (exclusive) bound the time.
	Since, Until time.Time
	// Limit is the most entries to return: 1 to 1000. Default 0: 50.
	Limit int
	// After is the Next of the page before; empty for the first.
	After string
}

func (q *Query) matches(e *Entry) bool {
	fits := func(want, have string) bool { return want == "" || want == have }
	return fits(q.Who, e.Who) && fits(q.Via, e.Via) && fits(q.Action, e.Action) && fits(q.Queue, e.Queue) && fits(q.Target, e.Target) &&
		(!q.Refused || e.Refused != "") && !e.At.Before(q.Since) && (q.Until.IsZero() || e.At.Before(q.Until))
}

// Page is a part of the audit.
type Page struct {
	Entries []Entry `json:"entries"`
	// Next continues; empty at the end. One call looks at 5,000 entries at most, so that a page may be short, or empty, and
	// still have a Next.
	Next string `json:"next,omitempty"`
}

// List returns a page of the audit. Who may see it is for the caller to ask. A limit or a mark that is not usable is a
// [*bellhop.InvalidError].
func List(ctx context.Context, store bellhop.Store, q Query) (*Page, error) {
	q.Limit = cmp.Or(q.Limit, 50)
	if q.Limit < 1 || q.Limit > maxPage {
		return nil, &bellhop.InvalidError{Index: -1, Field: "limit", Reason: fmt.Sprintf("%d is out of range: want 1 to %d", q.Limit, maxPage)}
	}
	if q.After != "" && (len(q.After) > 64 || strings.Trim(q.After, "0123456789abcdef-") != "") {
		return nil, &bellhop.InvalidError{Index: -1, Field: "after", Reason: "it is not the mark of a page: use the next of the page before"}
	}
	after := q.After
	if !q.Until.IsZero() { // jumps to the first entry that is old enough
		after = max(after, fmt.Sprintf("%016x", math.MaxInt64-q.Until.UnixMicro()))
	}
	page := &Page{Entries: []Entry{}}
	for examined := 0; examined < maxExamined; {
		records, err := store.Records(ctx, &bellhop.RecordQuery{Space: space, After: after, Limit: min(maxPage, maxExamined-examined)})
		if err != nil {
			return nil, fmt.Errorf("audit: read entries: %w", err)
		}
		for i := range records {
			after = records[i].Key
			examined++
			var e Entry
			if json.Unmarshal(records[i].Value, &e) != nil {
				continue // of a release that we know nothing of
			}
			if e.At.Before(q.Since) {
				return page, nil
			}
			if !q.matches(&e) {
				continue
			}
			if page.Entries = append(page.Entries, e); len(page.Entries) == q.Limit {
				page.Next = after
				return page, nil
			}
		}
		if len(records) == 0 {
			return page, nil
		}
	}
	page.Next = after
	return page, nil
}
