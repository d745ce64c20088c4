package worker

import (
	"errors"
	"time"

	"github.com/gobellhop/bellhop"
)

// offer says which jobs the worker would claim in the transaction that makes some
// of these ready, or nil if an exchange of its own will do: see [bellhop.Joiner].
func (w *Worker) offer(jobs []*bellhop.Job) *bellhop.Offer {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, l := time.Now(), w.lanes[0]
	busy := l.pending != nil || w.outbox.len() > 0 || now.Before(w.emptyUntil)
	if busy || !w.alive || w.draining || w.remote.drained || w.leaseOver(now) || !w.listen(jobs) {
		return nil
	}
	w.held.reckon(now)
	wants, limit := w.held.wants(false)
	if len(wants) == 0 || limit == 0 {
		return nil
	}
	c := w.newCall(wants, limit)
	c.joined, c.tries, c.sent = true, 1, now
	l.pending = c
	return &bellhop.Offer{Request: &c.request, Done: func(reply *bellhop.ExchangeReply, err error) { w.joined(l, c, reply, err) }}
}

// listen marks the queues of jobs that the worker can run as worth asking, and reports
// whether there are any. Called under w.mu.
func (w *Worker) listen(jobs []*bellhop.Job) (any bool) {
	for _, j := range jobs {
		if q := w.held.queues[j.Queue]; q != nil && w.handlers[j.Kind] != nil {
			q.short, any = false, true
		}
	}
	return any
}

// joined takes in what came of an exchange within the transaction of an enqueue. If
// it failed, or nothing is known of it, the lane repeats it.
func (w *Worker) joined(l *lane, c *call, reply *bellhop.ExchangeReply, err error) {
	switch {
	case err == nil:
		w.answered(l, c, reply)
	case errors.Is(err, bellhop.ErrProcessGone):
		w.gone(c.request.Process)
	default:
		w.mu.Lock()
		c.joined = false
		w.mu.Unlock()
	}
	l.loop.Wake() // outcomes may have gathered meanwhile
}

// endJoins lets enqueues claim nothing more for the worker, and waits for those that do. One
// that hangs is waited for until the deadline: then the lane repeats the exchange.
func (w *Worker) endJoins(deadline time.Time) {
	ended := make(chan struct{})
	go func() { w.unjoin(); close(ended) }()
	end := time.NewTimer(time.Until(deadline))
	defer end.Stop()
	select {
	case <-ended:
		return
	case <-end.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.lanes[0]; l.pending != nil && l.pending.joined {
		again := *l.pending // what the enqueue still says of the first try is of no use
		again.joined = false
		l.pending = &again
	}
}
