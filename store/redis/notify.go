package redis

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// wakes listens to the channel on which scripts name the queues that have
// become worth asking, while somebody wants to know.
type wakes struct {
	store *Store

	mu   sync.Mutex
	all  []*listener
	halt func() // ends the listening and waits for its end; nil if there is none
}

type listener struct{ fn func(queue string) }

// Notify implements [bellhop.Notifier]. fn is called with the name of a queue
// in which a job has become ready that was without, and with an empty name when
// the connection to the server has been made anew.
func (s *Store) Notify(fn func(queue string)) (stop func()) {
	w, entry := &s.wakes, &listener{fn}
	w.mu.Lock()
	w.all = append(w.all[:len(w.all):len(w.all)], entry)
	if w.halt == nil {
		w.halt = w.start()
	}
	w.mu.Unlock()
	return func() { w.remove(entry) }
}

// remove ends the listening with the last listener.
func (w *wakes) remove(entry *listener) {
	w.mu.Lock()
	var halt func()
	for i, e := range w.all {
		if e == entry {
			w.all = append(w.all[:i:i], w.all[i+1:]...)
			if len(w.all) == 0 {
				halt, w.halt = w.halt, nil
			}
			break
		}
	}
	w.mu.Unlock()
	if halt != nil {
		halt()
	}
}

// stop ends the listening and waits for its end.
func (w *wakes) stop() {
	w.mu.Lock()
	halt := w.halt
	w.all, w.halt = nil, func() {} // none is begun any more
	w.mu.Unlock()
	if halt != nil {
		halt()
	}
}

func (w *wakes) tell(queue string) {
	w.mu.Lock()
	all := w.all
	w.mu.Unlock()
	for _, e := range all {
		e.fn(queue)
	}
}

// start subscribes, and keeps doing so when the connection is lost.
func (w *wakes) start() (halt func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			w.listen(ctx)
			pause(ctx, time.Second)
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// listen passes messages on until the connection is lost or ctx ends.
func (w *wakes) listen(ctx context.Context) {
	sub := w.store.client.SSubscribe(ctx, w.store.keys.base+"wake")
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	defer func() { _ = sub.Close() }()
	for {
		message, err := sub.Receive(ctx)
		switch m := message.(type) {
		case *redis.Message:
			w.tell(m.Payload)
		case *redis.Subscription:
			w.tell("") // what came before it was missed
			if m.Kind == "sunsubscribe" {
				return // the namespace has moved to another node of the cluster
			}
		}
		if err != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
