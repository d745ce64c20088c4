package api

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
	"github.com/gobellhop/bellhop/internal/redact"
)

const (
	maxStreams   = 1000             // event streams open at once
	watchTimeout = 10 * time.Second // for the store to answer
)

// watch looks after the jobs that event streams follow. One query for all of them goes to the store at a time, at most two
// a second however many streams there are, and none if there are none.
type watch struct {
	client *bellhop.Client
	log    *slog.Logger
	every  time.Duration

	mu      sync.Mutex
	streams map[*stream]struct{}
	stop    context.CancelFunc // ends the loop; nil if none runs
}

// stream is one follower of one job.
type stream struct {
	id bellhop.ID
	// updates holds the newest state that the stream has not seen yet; nil means that the job is gone.
	updates chan *Job
}

// follow adds a stream; nil if there are too many.
func (w *watch) follow(id bellhop.ID) *stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.streams) >= maxStreams {
		return nil
	}
	st := &stream{id: id, updates: make(chan *Job, 1)}
	if w.streams == nil {
		w.streams = map[*stream]struct{}{}
	}
	w.streams[st] = struct{}{}
	if w.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		w.stop = cancel
		loop.New("job events", w.rounds(), loop.Options{Jitter: 0.1}).Start(ctx)
	}
	return st
}

// leave removes a stream. With the last one the loop ends.
func (w *watch) leave(st *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.streams, st)
	if len(w.streams) == 0 && w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// rounds returns the loop's work. The first round only waits, because a stream begins with a look of its own.
func (w *watch) rounds() loop.Func {
	begun, failing := false, false
	return func(ctx context.Context) time.Duration {
		if !begun {
			begun = true
			return w.every
		}
		err := w.look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			w.log.Warn("event streams wait for the store", bellhop.AttrError, err)
		}
		failing = err != nil
		return w.every
	}
}

// look asks the store once, and tells the streams.
func (w *watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	followers := map[bellhop.ID][]*stream{}
	w.mu.Lock()
	for st := range w.streams {
		followers[st.id] = append(followers[st.id], st)
	}
	w.mu.Unlock()
	if len(followers) == 0 {
		return nil
	}
	ids := slices.SortedFunc(maps.Keys(followers), bellhop.ID.Compare)
	page, err := w.client.List(ctx, bellhop.Query{Filter: bellhop.Filter{IDs: ids}, Limit: len(ids), WithoutArgs: true})
	if err != nil {
		return err
	}
	found := map[bellhop.ID]*Job{}
	for i := range page.Jobs {
		found[page.Jobs[i].ID] = NewJob(redact.Snapshot(&page.Jobs[i]))
	}
	for id, streams := range followers {
		for _, st := range streams {
			st.put(found[id])
		}
	}
	return nil
}

// put leaves an update, in place of an older one that was not taken. It never blocks.
func (st *stream) put(j *Job) {
	select {
	case <-st.updates:
	default:
	}
	select {
	case st.updates <- j:
	default: // a loop that is about to end was quicker; the next look tells
	}
}
