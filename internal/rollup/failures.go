package rollup

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// minuteGroups and mergedGroups are how many groups of failures a process keeps of a minute, and a merged window. What goes
	// beyond is counted as the rest.
	minuteGroups = 200
	mergedGroups = 500
	// mostGroups is how many are read of a range.
	mostGroups = 1000
	// sampleBytes is how much of a message is kept.
	sampleBytes = 500
	// groupQueues is how many queues a group names.
	groupQueues = 5
)

// FailureGroup is what failures with one fingerprint have in common: of one kind, class and message with its variable parts taken out.
type FailureGroup struct {
	Fingerprint string `json:"fingerprint"`
	Kind        string `json:"kind"`
	// Class, Pattern and Sample are there when [Reader.Describe] has filled them in. Pattern is the message without its variable
	// parts; Sample is the last of the messages as it was.
	Class   string `json:"class"`
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

	in frame // the window with the last of them
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
		g.Last, g.LastJob, g.in = o.Last, o.LastJob, o.in
		g.Class, g.Pattern, g.Sample = o.Class, o.Pattern, o.Sample
	}
	for _, q := range o.Queues {
		if !slices.Contains(g.Queues, q) {
			g.Queues = append(g.Queues, q)
			slices.Sort(g.Queues)
		}
	}
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

// encode returns the failures as two pages: their numbers, of which a page reads hundreds, and their texts, of which it reads those that it
// shows. The texts begin with the fingerprint and the time of the group's last failure.
func (f *failures) encode() (numbers, texts []byte) {
	n, t := newPageWriter(), newPageWriter()
	n.body = binary.AppendUvarint(n.body, uint64(f.rest))
	for _, g := range f.sorted() {
		fp := fingerprint(g.Fingerprint)
		n.body = binary.BigEndian.AppendUint64(n.body, fp)
		n.name(g.Kind)
		n.body = binary.AppendUvarint(n.body, uint64(len(g.Queues)))
		for _, q := range g.Queues {
			n.name(q)
		}
		for _, v := range []int64{g.Count, g.Dead, g.First.UnixMicro(), g.Last.Sub(g.First).Microseconds()} {
			n.body = binary.AppendUvarint(n.body, uint64(max(v, 0)))
		}
		n.body = append(n.body, g.LastJob[:]...)
		t.body = binary.BigEndian.AppendUint64(t.body, fp)
		t.body = binary.AppendUvarint(t.body, uint64(g.Last.UnixMicro()))
		for _, text := range []string{g.Class, g.Pattern, g.Sample} {
			t.body = appendBytes(t.body, text)
		}
	}
	return n.bytes(), t.bytes()
}

// fingerprint returns a fingerprint as a number: it is 16 hexadecimal digits.
func fingerprint(text string) uint64 {
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil { // it was made by bellhop.Fingerprint
		panic(err)
	}
	return n
}

// eachGroup calls fn for each group of a page of numbers, with its fingerprint, and returns how many failures are in none. The group is fn's
// until it returns.
func (p *encodedPage) eachGroup(fn func(fp uint64, g *FailureGroup)) (rest int64, err error) {
	r := reading{rest: p.body}
	rest = int64(r.number())
	name := func() string {
		i := r.number()
		if i >= uint64(len(p.names)) {
			r.fail()
			return ""
		}
		return p.names[i]
	}
	var g FailureGroup
	for len(r.rest) > 0 {
		fp := r.fixed(8)
		g.Kind, g.Queues = name(), g.Queues[:0]
		for range r.number() {
			if r.err != nil {
				break
			}
			g.Queues = append(g.Queues, name())
		}
		g.Count, g.Dead = int64(r.number()), int64(r.number())
		g.First = time.UnixMicro(int64(r.number())).UTC()
		g.Last = g.First.Add(time.Duration(r.number()) * time.Microsecond)
		copy(g.LastJob[:], r.fixed(len(g.LastJob)))
		if r.err != nil {
			break
		}
		fn(binary.BigEndian.Uint64(fp), &g)
	}
	return rest, r.err
}

// eachText calls fn for each group of a page of texts, with its fingerprint and the time of its last failure.
func (p *encodedPage) eachText(fn func(fp uint64, last time.Time, texts [3][]byte)) error {
	r := reading{rest: p.body}
	for len(r.rest) > 0 {
		fp, last := r.fixed(8), r.number()
		texts := [3][]byte{r.bytes(), r.bytes(), r.bytes()}
		if r.err != nil {
			break
		}
		fn(binary.BigEndian.Uint64(fp), time.UnixMicro(int64(last)).UTC(), texts)
	}
	return r.err
}

// found are groups that are being put together of many pages, by their fingerprints.
type found struct {
	groups map[uint64]*FailureGroup
	rest   int64
}

// take adds what a page of numbers holds, of one kind if it is not empty. Each group is told what it has become part of, with its number.
func (f *found) take(in frame, p *encodedPage, kind string, tell func(all *FailureGroup, n int64)) error {
	if f.groups == nil {
		f.groups = map[uint64]*FailureGroup{}
	}
	rest, err := p.eachGroup(func(fp uint64, g *FailureGroup) {
		if kind != "" && g.Kind != kind {
			return
		}
		g.in = in
		all := f.groups[fp]
		if all != nil {
			all.merge(g)
		} else {
			one := *g
			one.Fingerprint, one.Queues = fmt.Sprintf("%016x", fp), slices.Clone(g.Queues)
			all = &one
			f.groups[fp] = all
		}
		tell(all, g.Count)
	})
	f.rest += rest
	return err
}

// failures returns the groups as failures.
func (f *found) failures() *failures {
	out := &failures{groups: make(map[string]*FailureGroup, len(f.groups)), rest: f.rest}
	for _, g := range f.groups {
		out.groups[g.Fingerprint] = g
	}
	return out
}

// texts keeps, of each group, those texts that come from the latest failure.
type texts map[uint64]text

type text struct {
	last                   time.Time
	class, pattern, sample string
}

// take adds those of a page of texts that are wanted.
func (t texts) take(p *encodedPage, wanted func(fp uint64) bool) error {
	return p.eachText(func(fp uint64, last time.Time, texts [3][]byte) {
		have, known := t[fp]
		if !wanted(fp) || known && (last.Before(have.last) || last.Equal(have.last) && string(texts[2]) <= have.sample) {
			return
		}
		t[fp] = text{last, string(texts[0]), string(texts[1]), string(texts[2])}
	})
}

// describe fills in a group's texts.
func (t texts) describe(g *FailureGroup) {
	have, known := t[fingerprint(g.Fingerprint)]
	if !known { // of its window, other groups have been kept since it was read
		have = text{pattern: "(the message is no longer kept)"}
	}
	g.Class, g.Pattern, g.Sample = have.class, have.pattern, have.sample
}

// Failures are the groups of failures of a range.
type Failures struct {
	Range
	// Groups come with those that failed most often first. Their texts are empty: see [Reader.Describe].
	Groups []FailureGroup
	// Rest is how many failures, of all kinds, are in no group, because there were too many different ones.
	Rest int64
}

// Failures reads the groups of failures of a range, at most 1000; a kind that is not empty narrows it to that. It reads their numbers, which
// are small; [Reader.Describe] reads the texts of those that are shown.
func (r *Reader) Failures(ctx context.Context, rng Range, kind string) (*Failures, error) {
	var all found
	_, err := r.each(ctx, rng, rng.Step, just(shardFailures), func(in frame, p *encodedPage) error {
		return all.take(in, p, kind, func(g *FailureGroup, n int64) {
			if g.Points == nil {
				g.Points = make([]int64, rng.Points())
			}
			g.Points[in.step] += n
		})
	})
	groups := all.failures()
	groups.cut(mostGroups)
	out := &Failures{Range: rng, Rest: groups.rest}
	for _, g := range groups.sorted() {
		out.Groups = append(out.Groups, *g)
	}
	return out, err
}

// Describe fills in the class, the pattern and the sample of groups, as far as they are still kept.
func (r *Reader) Describe(ctx context.Context, rng Range, groups []FailureGroup) error {
	wanted := make(map[uint64]bool, len(groups))
	var in windows
	for i := range groups {
		wanted[fingerprint(groups[i].Fingerprint)] = true
		in.add(groups[i].in)
	}
	all := texts{}
	err := r.in(ctx, rng.Now, in, just(shardTexts), func(_ frame, p *encodedPage) error {
		return all.take(p, func(fp uint64) bool { return wanted[fp] })
	})
	for i := range groups {
		all.describe(&groups[i])
	}
	return err
}
