// Package plantest has what tests of plans in the SQL stores share: searches with conditions in combination, over jobs of which there
// are more than a search looks at, and the statements that a store composes for them. Each test explains these on its own database.
// Jobs pass through here only to be looked for.
package plantest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bigstore"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// MostRows is the most rows that one step of a plan may look at: as many as a page or a count goes through in one place, and one.
const MostRows = 5001

// Fill puts jobs into an empty schema: more than [MostRows] in the places that grow, and of one queue more than a search takes from the queue's
// index where it is asked for several. exec is as in [bigstore.Dialect.Fill].
func Fill(t testing.TB, scheme string, exec func(ctx context.Context, statements ...string) error) {
	t.Helper()
	size := bigstore.Size{Finished: 50_000, Dead: 12_000, Ready: 12_000, Scheduled: 12_000, Queues: 4, Kinds: 50}
	if testing.Short() {
		size = size.Part(4)
	}
	if err := bigstore.Dialects[scheme].Fill(t.Context(), size, 0, exec, func(int) {}); err != nil {
		t.Fatal(err)
	}
}

// Sent is a statement that a store has sent for a search.
type Sent struct {
	// Search names the search.
	Search string
	Stmt   *sqlstore.Stmt
	Args   []any
}

// Statements runs searches on a store, each for two pages and two parts of its count, and returns the statements that were sent, each
// text once for each of these four.
func Statements(t testing.TB, s *sqlstore.Store) []Sent {
	t.Helper()
	r := &recorder{Database: s.Database, seen: map[string]bool{}}
	s.Database = r
	defer func() { s.Database = r.Database }()
	for _, search := range searches() {
		list := func(verb, after string) string {
			r.verb, r.search = verb, search.name
			l, err := s.List(t.Context(), &bellhop.Query{Filter: search.filter, After: after, WithLast: true, WithoutArgs: after == ""})
			if err != nil {
				t.Fatalf("%s %s: %v", verb, search.name, err)
			}
			return l.Next
		}
		if next := list("list", ""); next != "" {
			list("next page of", next)
		}
		count := func(verb, after string) string {
			r.verb = verb
			c, err := s.Count(t.Context(), &bellhop.Query{Filter: search.filter, After: after, Limit: MostRows - 1})
			if err != nil {
				t.Fatalf("%s %s: %v", verb, search.name, err)
			}
			return c.Next
		}
		if next := count("count", ""); next != "" {
			count("go on to count", next)
		}
	}
	if len(r.sent) < 100 {
		t.Fatalf("only %d statements were seen", len(r.sent))
	}
	return r.sent
}

// search is a filter and what it is called.
type search struct {
	name   string
	filter bellhop.Filter
}

// condition is one condition of a filter.
type condition struct {
	name string
	set  func(f *bellhop.Filter)
}

// conditions are all that a filter can have beside states and ids.
func conditions() []condition {
	now := time.Now()
	week := 7 * 24 * time.Hour
	return []condition{
		{"queue", func(f *bellhop.Filter) { f.Queues = []string{"queue-1"} }},
		{"queues", func(f *bellhop.Filter) { f.Queues = []string{"queue-0", "queue-1", "queue-2"} }},
		{"queue of none", func(f *bellhop.Filter) { f.Queues = []string{"none"} }},
		{"not a queue", func(f *bellhop.Filter) { f.NotQueues = []string{"queue-3"} }},
		{"kinds", func(f *bellhop.Filter) { f.Kinds = []string{bigstore.Kind, "kind-4"} }},
		{"kind of none", func(f *bellhop.Filter) { f.Kinds = []string{"none"} }},
		{"tag", func(f *bellhop.Filter) { f.Tags = []string{bigstore.Tag} }},
		{"text", func(f *bellhop.Filter) { f.Text = "user77@example" }},
		{"argument", func(f *bellhop.Filter) { f.Args = []bellhop.ArgMatch{{Path: "user.id", Value: "77"}} }},
		{"error", func(f *bellhop.Filter) { f.Error = bigstore.Error }},
		{"group", func(f *bellhop.Filter) { f.Fingerprint = "0123456789abcdef" }},
		{"process", func(f *bellhop.Filter) { f.Process = bellhop.NewID() }},
		{"enqueued after", func(f *bellhop.Filter) { f.EnqueuedAfter = now.Add(-week) }},
		{"enqueued before", func(f *bellhop.Filter) { f.EnqueuedBefore = now.Add(-week) }},
		{"finished after", func(f *bellhop.Filter) { f.FinishedAfter = now.Add(-week) }},
		{"finished before", func(f *bellhop.Filter) { f.FinishedBefore = now.Add(-week) }},
	}
}

// selections are states that people look at: any, and those of the places that grow.
var selections = []bellhop.StateSet{
	0, bellhop.States(bellhop.StateDead), bellhop.States(bellhop.StateReady), bellhop.States(bellhop.StateSucceeded),
	bellhop.States(bellhop.StateScheduled), bellhop.States(bellhop.StateReady, bellhop.StateDead), bellhop.States(bellhop.StateDiscarded),
}

// searches returns each condition with the first of these, and each two conditions together with one of them; in short tests not all.
func searches() []search {
	var list []search
	add := func(states bellhop.StateSet, some ...condition) {
		one := search{name: fmt.Sprint(states.List()), filter: bellhop.Filter{States: states}}
		for _, c := range some {
			one.name += ", " + c.name
			c.set(&one.filter)
		}
		list = append(list, one)
	}
	all := conditions()
	for _, states := range selections {
		add(states)
	}
	for i, c := range all {
		add(0, c)
		add(bellhop.States(bellhop.StateDead), c)
		for k := range i {
			if !testing.Short() || (i+k)%4 == 0 {
				add(selections[len(list)%len(selections)], all[k], c)
			}
		}
	}
	return list
}

// recorder is a database that notes what is asked of it.
type recorder struct {
	sqlstore.Database
	verb, search string // what is done at the moment
	sent         []Sent
	seen         map[string]bool // verbs and texts
}

// Read implements [sqlstore.Database].
func (r *recorder) Read(ctx context.Context, step sqlstore.Step, fn func(sqlstore.Tx) error) error {
	return r.Database.Read(ctx, step, func(tx sqlstore.Tx) error { return fn(&recording{tx, r}) })
}

// recording is one of its transactions.
type recording struct {
	sqlstore.Tx
	in *recorder
}

// Query implements [sqlstore.Tx].
func (r *recording) Query(ctx context.Context, st *sqlstore.Stmt, scan func(sqlstore.Row) error, args ...any) error {
	if key := r.in.verb + " " + st.Text; !r.in.seen[key] {
		r.in.seen[key] = true
		r.in.sent = append(r.in.sent, Sent{r.in.verb + " " + r.in.search, st, slices.Clone(args)})
	}
	return r.Tx.Query(ctx, st, scan, args...)
}
