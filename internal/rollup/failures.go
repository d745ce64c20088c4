package rollup

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// minuteGroups and mergedGroups are how many groups of failures a process keeps of a minute, and a merged window. What goes
	// beyond is counted as the rest.
	minuteGroups = 200
	mergedGroups = 500
	// sampleBytes is how much of a message is kept.
	sampleBytes = 500
	// groupQueues is how many queues a group names.
	groupQueues = 5
)

// FailureGroup is what failures with one fingerprint have in common: of one kind, class and message with its variable parts taken out.
type FailureGroup struct {
	Fingerprint string `json:"fingerprint"`
	Kind        string `json:"kind"`
	Class       string `json:"class"`
	// Pattern is the message without its variable parts; Sample is the last of the messages as it was.
	Pattern string `json:"pattern"`
	Sample  string `json:"sample"`
	// Queues are some of the queues of the jobs, at most five.
	Queues []string `json:"queues"`
	// Count is how many attempts failed so, and Dead how many of them ended their jobs.
	Count int64 `json:"count"`
	Dead  int64 `json:"dead,omitempty"`
	// First and Last are when the first and the last of them ended, within the range.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// LastJob is the job of the last one.
	LastJob bellhop.ID `json:"last_job"`
	// Points counts those of each step of the range.
	Points []int64 `json:"points,omitempty"`
}

// NamesAll reports whether Queues are certainly all queues of the group's jobs.
func (g *FailureGroup) NamesAll() bool { return len(g.Queues) < groupQueues }

// newGroup returns the group of one failure.
func newGroup(c *bellhop.Claim, o *bellhop.Outcome, at time.Time) *FailureGroup {
	g := &FailureGroup{
		Fingerprint: bellhop.Fingerprint(c.Job.Kind, o.Failure), Kind: c.Job.Kind, Class: o.Failure.Class,
		Pattern: bellhop.FailurePattern(o.Failure.Message), Sample: bellhop.CleanText(o.Failure.Message, sampleBytes),
		Queues: []string{c.Job.Queue}, Count: 1, First: at.UTC(), Last: at.UTC(), LastJob: c.Token.JobID,
	}
	if o.Kind == bellhop.OutcomeDead {
		g.Dead = 1
	}
	return g
}

// merge adds another group with the same fingerprint.
func (g *FailureGroup) merge(o *FailureGroup) {
	g.Count += o.Count
	g.Dead += o.Dead
	if o.First.Before(g.First) {
		g.First = o.First
	}
	if o.Last.After(g.Last) || o.Last.Equal(g.Last) && o.LastJob.Compare(g.LastJob) > 0 {
		g.Last, g.LastJob, g.Sample = o.Last, o.LastJob, o.Sample
	}
	for _, q := range o.Queues {
		if !slices.Contains(g.Queues, q) {
			g.Queues = append(g.Queues, q)
		}
	}
	slices.Sort(g.Queues)
	g.Queues = g.Queues[:min(len(g.Queues), groupQueues)]
}

// failures are groups by fingerprint, and how many failures were left out.
type failures struct {
	groups map[string]*FailureGroup
	rest   int64
}

// add adds a group, which is then the failures' own, and returns what it has become part of.
func (f *failures) add(g *FailureGroup) *FailureGroup {
	if have := f.groups[g.Fingerprint]; have != nil {
		have.merge(g)
		return have
	}
	if f.groups == nil {
		f.groups = map[string]*FailureGroup{}
	}
	f.groups[g.Fingerprint] = g
	return g
}

// within is add, for failures of which there are at most so many groups.
func (f *failures) within(g *FailureGroup, most int) {
	if len(f.groups) >= most && f.groups[g.Fingerprint] == nil {
		f.rest += g.Count
		return
	}
	f.add(g)
}

// cut leaves those groups that have most failures.
func (f *failures) cut(most int) {
	if len(f.groups) <= most {
		return
	}
	for _, g := range f.sorted()[most:] {
		f.rest += g.Count
		delete(f.groups, g.Fingerprint)
	}
}

// storedFailures is how failures are kept, as JSON.
type storedFailures struct {
	Groups []*FailureGroup `json:"groups"`
	Rest   int64           `json:"rest,omitempty"`
}

// sorted returns the groups, those with most failures first.
func (f *failures) sorted() []*FailureGroup {
	list := make([]*FailureGroup, 0, len(f.groups))
	for _, g := range f.groups {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *FailureGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return list
}

func (f *failures) isZero() bool { return len(f.groups) == 0 && f.rest == 0 }

func (f *failures) encode() []byte {
	b, err := json.Marshal(storedFailures{f.sorted(), f.rest})
	if err != nil { // texts, numbers and times always encode
		panic(err)
	}
	return b
}

// decodeFailures reads what encode wrote.
func decodeFailures(raw []byte) (*storedFailures, error) {
	var s storedFailures
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return &s, nil
}

// Failures are the groups of failures of a range.
type Failures struct {
	Range
	// Groups come with those that failed most often first.
	Groups []FailureGroup
	// Rest is how many failures, of all kinds, are in no group, because there were too many different ones.
	Rest int64
}

// Failures reads the groups of failures of a range, at most 1000; a kind that is not empty narrows it to that.
func (r *Reader) Failures(ctx context.Context, rng Range, kind string) (*Failures, error) {
	const most = 1000
	var found failures
	err := r.each(ctx, rng, rng.Step, func(*level) string { return shardFailures }, func(i int, p *encodedPage) error {
		found.rest += p.failures.Rest
		for _, g := range p.failures.Groups {
			if kind != "" && g.Kind != kind {
				continue
			}
			all := found.groups[g.Fingerprint]
			if all == nil {
				first := *g // what is in the cache stays as it is
				first.Queues, first.Points = slices.Clone(g.Queues), make([]int64, rng.Points())
				all = found.add(&first)
			} else {
				all.merge(g)
			}
			all.Points[i] += g.Count
		}
		return nil
	})
	found.cut(most)
	out := &Failures{Range: rng, Rest: found.rest}
	for _, g := range found.sorted() {
		out.Groups = append(out.Groups, *g)
	}
	return out, err
}
