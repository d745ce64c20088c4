package rollup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// frame is a window of a level, with the step of a range in which it is.
type frame struct {
	level int
	at    time.Time
	step  int
}

// windows are windows of each level, with their steps.
type windows [len(levels)]map[time.Time]int

func (w *windows) add(one frame) {
	if w[one.level] == nil {
		w[one.level] = map[time.Time]int{}
	}
	w[one.level][one.at] = one.step
}

// cover adds the windows that make up the time from one moment to another, the longest that fit and have been merged by now,
// but none longer than most and of a level below.
func (w *windows) cover(below int, most time.Duration, from, to, now time.Time, step int) {
	for at := from; at.Before(to) && at.Before(now); {
		l := below - 1
		for ; l > 0; l-- {
			size := levels[l].size
			end := at.Add(size)
			if size <= most && at.Truncate(size).Equal(at) && !end.After(to) && !end.Add(time.Duration(l)*mergeAfter).After(now) {
				break
			}
		}
		if now.Sub(at) <= levels[l].keep+levels[l].size {
			w.add(frame{l, at, step})
		}
		at = at.Add(levels[l].size)
	}
}

// shards names those shards of a level that are to be read.
type shards func(*level) []string

// just is one shard that each level has.
func just(shard string) shards { return func(*level) []string { return []string{shard} } }

// of is the shard of one series.
func of(s Series) shards { return func(l *level) []string { return []string{l.shard(s)} } }

// take is called with the pages of windows.
type take func(in frame, p *encodedPage) error

// each calls fn with the pages of one shard, and of the clients' if need be, that make up the range, and returns the windows that have
// any. most bounds the length of the windows that are used. Where a merged window is missing, what it would be merged from is read instead.
func (r *Reader) each(ctx context.Context, rng Range, most time.Duration, shard shards, fn take) (have windows, err error) {
	var need windows
	if most > rng.Step { // the steps do not matter
		need.cover(len(levels), most, rng.From, rng.To, rng.Now, 0)
	} else {
		for i := range rng.Points() {
			need.cover(len(levels), most, rng.At(i), rng.At(i+1), rng.Now, i)
		}
	}
	for l := len(levels) - 1; l >= 0; l-- {
		if len(need[l]) == 0 {
			continue
		}
		which := shard(&levels[l])
		there, err := r.load(ctx, rng.Now, l, which, need[l])
		if err != nil {
			return have, err
		}
		for at, step := range need[l] {
			in := frame{l, at, step}
			any := false
			for _, name := range which {
				pages := there[place{name, at}]
				any = any || len(pages) > 0
				if err := in.tell(pages, fn); err != nil {
					return have, err
				}
			}
			switch {
			case any:
				have.add(in)
			case l > 0:
				need.cover(l, longest(), at, at.Add(levels[l].size), rng.Now, step)
			}
		}
	}
	return have, nil
}

// chunk is how many shards are read together: all of queues in minutes, and what clients have of these, which is read once.
const chunk = 128

// in calls fn with the pages of some shards in windows.
func (r *Reader) in(ctx context.Context, now time.Time, list windows, which shards, fn take) error {
	for l := range list {
		if len(list[l]) == 0 {
			continue
		}
		for some := range slices.Chunk(which(&levels[l]), chunk) {
			there, err := r.load(ctx, now, l, some, list[l])
			if err != nil {
				return err
			}
			for p, pages := range there {
				if err := (frame{l, p.at, list[l][p.at]}).tell(pages, fn); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w frame) tell(pages []encodedPage, fn take) error {
	for i := range pages {
		if err := fn(w, &pages[i]); err != nil {
			return w.failed(err)
		}
	}
	return nil
}

func (w frame) failed(err error) error {
	return fmt.Errorf("read metrics: %s of %s: %w", levels[w.level].name, w.at.Format(windowForm), err)
}

// place is a window of a shard.
type place struct {
	shard string
	at    time.Time
}

// load returns what the records of some shards' windows hold, as far as there is any.
func (r *Reader) load(ctx context.Context, now time.Time, l int, which []string, want map[time.Time]int) (map[place][]encodedPage, error) {
	local, at := time.Now(), &levels[l]
	there := make(map[place][]encodedPage, len(want))
	var missing []place
	for _, shard := range which {
		for window := range want {
			p := place{shard, window}
			if pages, known := r.cache.get(at.key(shard, window), local); !known {
				missing = append(missing, p)
			} else if len(pages) > 0 {
				there[p] = pages
			}
		}
	}
	if l == 0 {
		var err error
		if missing, err = r.fromCourses(ctx, now, missing, there); err != nil {
			return nil, err
		}
	}
	read, err := at.read(ctx, r.store, missing, readsAtOnce)
	if err != nil {
		return nil, err
	}
	for _, p := range missing {
		pages, err := r.cache.open(read[p])
		if err != nil {
			return nil, fmt.Errorf("read metrics: %s: %w", at.key(p.shard, p.at), err)
		}
		r.cache.put(at.key(p.shard, p.at), pages, local, now.Sub(p.at.Add(at.size)))
		if len(pages) > 0 {
			there[p] = pages
		}
	}
	return there, nil
}

// keysAtOnce is how many records are asked for in one call.
const keysAtOnce = 250

// read reads the records of places by so many calls at once. A merged window has one, whose key is known; those of minutes are looked for.
func (l *level) read(ctx context.Context, store bellhop.Store, places []place, atOnce int) (map[place][][]byte, error) {
	r := reads{ctx: ctx, found: make(map[place][][]byte, len(places)), slots: make(chan struct{}, atOnce)}
	if l != &levels[0] {
		for some := range slices.Chunk(places, keysAtOnce) {
			r.do(func(ctx context.Context, add adding) error { return l.readKeys(ctx, store, some, add) })
		}
		return r.end()
	}
	var enqueued, ended []place
	for _, p := range places {
		if strings.HasPrefix(p.shard, clients) {
			enqueued = append(enqueued, p)
		} else {
			ended = append(ended, p)
		}
	}
	readEnqueued(store, enqueued, &r)
	for shard, run := range runs(ended) {
		r.do(func(ctx context.Context, add adding) error {
			return l.readBetween(ctx, store, shard, run[0], run[len(run)-1], add)
		})
	}
	return r.end()
}

// How many calls read together: for a person who waits, and for a merge in a worker, whose jobs need the connections.
const (
	readsAtOnce  = 8
	mergesAtOnce = 2
)

// adding takes what was found of a place.
type adding func(p place, value []byte)

// reads are several reads at once.
type reads struct {
	ctx   context.Context
	slots chan struct{} // one for each that is under way
	all   sync.WaitGroup

	mu    sync.Mutex
	found map[place][][]byte
	err   error // the first
	panic any   // of a store
}

// do begins a read as soon as few enough are under way, unless one has failed.
func (r *reads) do(read func(context.Context, adding) error) {
	r.slots <- struct{}{}
	if r.failed() {
		<-r.slots
		return
	}
	r.all.Go(func() {
		defer func() {
			if v := recover(); v != nil { // it is the caller's
				r.mu.Lock()
				defer r.mu.Unlock()
				r.panic = v
			}
			<-r.slots
		}()
		err := read(r.ctx, func(p place, value []byte) {
			r.mu.Lock()
			r.found[p] = append(r.found[p], value)
			r.mu.Unlock()
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = cmp.Or(r.err, err)
	})
}

func (r *reads) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err != nil || r.panic != nil
}

// end waits for all, and returns what was found.
func (r *reads) end() (map[place][][]byte, error) {
	r.all.Wait()
	if r.panic != nil {
		panic(r.panic)
	}
	return r.found, r.err
}

// readKeys reads the records of places by their keys.
func (l *level) readKeys(ctx context.Context, store bellhop.Store, places []place, add adding) error {
	keys, whose := make([]string, len(places)), make(map[string]place, len(places))
	for i, p := range places {
		keys[i] = l.key(p.shard, p.at)
		whose[keys[i]] = p
	}
	records, err := store.Records(ctx, &bellhop.RecordQuery{Space: Space, Keys: keys, Limit: len(keys)})
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	for _, rec := range records {
		add(whose[rec.Key], rec.Value)
	}
	return nil
}

// runMost is how long a run is at most. An hour is read in several calls at once: a server that others keep busy hands over a large
// reply in small parts, to each connection in its turn.
const runMost = 16 * time.Minute

// runs yields for each shard the minutes that are near to each other, in their order: they are read together.
func runs(places []place) func(yield func(shard string, run []time.Time) bool) {
	return func(yield func(string, []time.Time) bool) {
		byShard := map[string][]time.Time{}
		for _, p := range places {
			byShard[p.shard] = append(byShard[p.shard], p.at)
		}
		for shard, list := range byShard {
			slices.SortFunc(list, time.Time.Compare)
			for len(list) > 0 {
				n := 1
				for n < len(list) && list[n].Sub(list[n-1]) <= 4*levels[0].size && list[n].Sub(list[0]) < runMost {
					n++
				}
				if !yield(shard, list[:n]) {
					return
				}
				list = list[n:]
			}
		}
	}
}

// atOnce is how many records are asked for in one call, of those of windows from one to another: there are a few processes. What
// comes after the last window would be read for nothing.
func atOnce(first, last time.Time, size time.Duration) int {
	return min(4*int(last.Sub(first)/size)+20, 200)
}

// readBetween reads the records of a shard's windows from one to another, whoever wrote them.
func (l *level) readBetween(ctx context.Context, store bellhop.Store, shard string, first, last time.Time, add adding) error {
	q := bellhop.RecordQuery{
		Space: Space, Prefix: commonPrefix(l.key(shard, first), l.key(shard, last)), After: l.before(shard, first),
		Limit: atOnce(first, last, l.size),
	}
	for {
		records, err := store.Records(ctx, &q)
		if err != nil {
			return fmt.Errorf("read metrics: %w", err)
		}
		for _, rec := range records {
			at, ok := l.windowIn(shard, rec.Key)
			if !ok {
				return fmt.Errorf("read metrics: the record %.100q has a key of another form; was it written by a later release?", rec.Key)
			}
			if at.After(last) {
				return nil
			}
			add(place{shard, at}, rec.Value)
		}
		if len(records) < q.Limit {
			return nil
		}
		q.After = records[len(records)-1].Key
	}
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return strings.Clone(a[:n])
}
