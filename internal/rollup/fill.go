package rollup

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// History is a past that never happened: [History.Fill] writes what would have been kept of it, so that reading can be measured. Each
// kind within each queue has jobs in each minute.
type History struct {
	// Series are the kinds within queues, and Jobs is how many of each end in a minute.
	Series []Series
	Jobs   int
	// Processes is how many workers and clients have written the minutes.
	Processes int
	// Groups are the groups of failures; each has some in each minute.
	Groups []FailureGroup
	// Ago is how far back it reaches, at most [Longest] and an hour.
	Ago time.Duration
}

// Fill writes the history up to now. told is called with the number of records and of bytes so far.
func (h *History) Fill(ctx context.Context, store bellhop.Store, told func(records, bytes int)) error {
	now, err := store.Ping(ctx)
	if err != nil {
		return err
	}
	f := filler{History: h, store: store, now: now, told: told}
	for i := range levels {
		if err := f.level(ctx, i); err != nil {
			return fmt.Errorf("fill metrics: %w", err)
		}
	}
	return f.put(ctx, nil, 0)
}

type filler struct {
	*History
	store          bellhop.Store
	now            time.Time
	told           func(records, bytes int)
	records, bytes int
	waiting        []bellhop.RecordWrite
	waits          int // their bytes
}

// level writes the windows of a level: as many as are kept, of the minutes those of each process.
func (f *filler) level(ctx context.Context, i int) error {
	l, processes := &levels[i], 1
	last := l.window(f.now)
	if i == 0 {
		processes = f.Processes
	} else {
		last = last.Add(-l.size)
	}
	// Two that take turns are as good as a new one for each.
	var turns [2]page
	for k := range turns {
		turns[k] = f.page(f.Jobs*int(l.size/time.Minute)/processes, uint64(10*i+k))
	}
	var all, queues []byte
	over := map[string]int{}
	for _, s := range f.Series {
		over[s.Kind] += f.Jobs / processes
	}
	for _, kind := range slices.Sorted(maps.Keys(over)) {
		all = fmt.Appendf(all, " %s=%d", kind, over[kind])
	}
	all = append(all, '\n')
	for k, s := range f.Series { // those of one queue come together
		if k == 0 || s.Queue != f.Series[k-1].Queue {
			if k > 0 {
				queues = append(queues, '\n')
			}
			queues = append(queues, s.Queue...)
		}
		queues = fmt.Appendf(queues, " %s=%d", s.Kind, f.Jobs/processes)
	}
	queues = append(queues, '\n')
	var minutes *courses
	if i == tens {
		minutes = f.courses()
	}
	for n, at := 0, last; f.now.Sub(at) < min(l.keep, f.Ago); n, at = n+1, at.Add(-l.size) {
		var failed failures
		for k := range f.Groups {
			g := f.Groups[k]
			g.Count, g.Dead = int64(l.size/time.Minute)*3, 1
			g.First, g.Last, g.LastJob = at.Add(time.Second), at.Add(l.size-time.Second), bellhop.NewID()
			failed.add(&g)
		}
		for p := range processes {
			writes := encodeWindow(l, at, turns[(n+p)%2], &failed, f.now)
			if i == tens && f.now.Sub(at) < levels[0].keep { // as long as there are minutes
				writes = append(writes, minutes.encode(at, f.now)...)
			}
			if i == 0 {
				for k := range writes {
					writes[k].Key += fmt.Sprintf("/process-%d", p)
				}
				for which, value := range map[string][]byte{enqueuedInAll: all, enqueuedInQueues: queues} {
					writes = append(writes, bellhop.RecordWrite{
						Space: bellhop.EnqueuedSpace, Key: which + at.Format(windowForm) + fmt.Sprintf("/client-%d", p), Value: value,
						Expect: bellhop.ExpectAny, TTL: at.Add(l.keep).Sub(f.now) + lateGrace,
					})
				}
			} else {
				writes = append(writes, (&merger{now: func() time.Time { return f.now }}).state(i, at, stateDone, bellhop.ExpectAny))
			}
			if err := f.put(ctx, writes, 1<<20); err != nil {
				return err
			}
		}
	}
	return nil
}

// courses returns those of ten minutes, any ten.
func (f *filler) courses() *courses {
	var c courses
	for i := range c.totals {
		at := time.Time{}.Add(time.Duration(i) * time.Minute)
		for s, sums := range f.page(f.Jobs, uint64(i)) {
			*c.totals.of(time.Time{}, at, s) = total{sums.Counts, sums.Run.sum}
			c.totals[i][s].Enqueued = 0
			c.enqueued.of(time.Time{}, at, s).Enqueued = sums.Enqueued
		}
	}
	return &c
}

// page returns the sums of so many jobs of each series. There are a few that many have.
func (f *filler) page(jobs int, seed uint64) page {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var few [23]Sums
	for i := range few {
		sums := &few[i]
		for range jobs {
			sums.Succeeded++
			sums.Wait.Add(time.Duration(math.Exp(8+rnd.NormFloat64())) * time.Microsecond)
			sums.Run.Add(time.Duration(math.Exp(11+float64(i)/10+rnd.NormFloat64()/2)) * time.Microsecond)
		}
		sums.Retried, sums.Enqueued = int64(rnd.IntN(2)), int64(jobs)
	}
	p := page{}
	for i, s := range f.Series {
		p[s] = &few[i%len(few)]
	}
	return p
}

// put writes records, with others if they are fewer bytes than least together.
func (f *filler) put(ctx context.Context, writes []bellhop.RecordWrite, least int) error {
	for _, w := range writes {
		f.waits += len(w.Value)
	}
	f.waiting = append(f.waiting, writes...)
	if f.waits < least || len(f.waiting) == 0 {
		return nil
	}
	byspace := map[string][]bellhop.RecordWrite{} // a call cannot put records in several parts of a store
	for _, w := range f.waiting {
		byspace[w.Space] = append(byspace[w.Space], w)
	}
	for _, list := range byspace {
		for some := range slices.Chunk(list, 100) {
			if err := f.store.Put(ctx, some); err != nil {
				return err
			}
		}
	}
	f.records, f.bytes = f.records+len(f.waiting), f.bytes+f.waits
	f.waiting, f.waits = nil, 0
	f.told(f.records, f.bytes)
	return nil
}
