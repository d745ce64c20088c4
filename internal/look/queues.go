package look

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/control"
)

// Queues is what one look at a store's queues sees. It is never changed.
type Queues struct {
	// Now is the store's clock when it was asked, and At this machine's.
	Now, At time.Time
	// Stats are of the queues that have live or dead jobs or are paused, in the order of their names, counted to a limit.
	Stats []bellhop.QueueStats
	// Processes are those alive.
	Processes []bellhop.ProcessStatus
	// Control is what people have told workers.
	Control *control.State
}

// At looks at the queues of a store by a fixed number of calls, however many queues and jobs there are. Counts go no further than limit.
func At(ctx context.Context, s bellhop.Store, limit int) (*Queues, error) {
	q := &Queues{}
	var err error
	if q.Now, err = s.Ping(ctx); err != nil {
		return nil, &silentError{fmt.Errorf("ask the store for the time: %w", err)}
	}
	q.At = time.Now()
	if q.Stats, err = s.Stats(ctx, limit); err != nil {
		return nil, fmt.Errorf("look at the queues: %w", err)
	}
	if q.Processes, err = s.Processes(ctx); err != nil {
		return nil, fmt.Errorf("look at the processes: %w", err)
	}
	if q.Control, err = control.Read(ctx, s); err != nil {
		return nil, err
	}
	return q, nil
}

// Clock is the store's clock now, as far as this machine knows.
func (q *Queues) Clock() time.Time { return q.Now.Add(time.Since(q.At)) }

// Oldest is how long the job of a queue has waited that has been ready longest; 0 if none is.
func (q *Queues) Oldest(st *bellhop.QueueStats) time.Duration {
	if st.OldestReady.IsZero() {
		return 0
	}
	return max(0, q.Now.Sub(st.OldestReady))
}

// Share returns a store that has a look at its queues: all who ask for it by [Of] share it. It ends with the store.
func Share(s bellhop.Store) bellhop.Store {
	return &watched{Store: s, looks: map[int]*Shared[Queues]{}}
}

// Of returns the look at the queues that a store has by [Share], else one of the caller's own. Counts go to [bellhop.QueuesCountedTo].
func Of(s bellhop.Store) *Shared[Queues] { return To(s, bellhop.QueuesCountedTo) }

// To is [Of] with counts to another limit: who asks for the same limit shares a look.
func To(s bellhop.Store, limit int) *Shared[Queues] {
	if w, has := bellhop.As[*watched](s); has {
		return w.to(limit)
	}
	return queuesOf(s, limit)
}

func queuesOf(s bellhop.Store, limit int) *Shared[Queues] {
	return New(func(ctx context.Context) (*Queues, error) { return At(ctx, s, limit) })
}

// watched is a store that has looks.
type watched struct {
	bellhop.Store

	mu    sync.Mutex
	looks map[int]*Shared[Queues] // by how far they count
}

func (w *watched) to(limit int) *Shared[Queues] {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looks[limit] == nil {
		w.looks[limit] = queuesOf(w.Store, limit)
	}
	return w.looks[limit]
}

// Close ends the looks, and closes the store.
func (w *watched) Close() error {
	w.mu.Lock()
	looks := slices.Collect(maps.Values(w.looks))
	w.mu.Unlock()
	for _, l := range looks {
		l.Close()
	}
	return w.Store.Close()
}

// Unwrap returns the store behind, for [bellhop.As].
func (w *watched) Unwrap() bellhop.Store { return w.Store }
