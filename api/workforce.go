package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/gobellhop/bellhop"
)

// Workforce is who works what just now: the living processes, and the queues that are paused. It knows why a waiting job is not
// run. Make it with [FindWorkforce] or [NewWorkforce].
type Workforce struct {
	// Processes are the living processes.
	Processes []bellhop.ProcessStatus
	paused    map[string]bool
}

// FindWorkforce asks the store who works what. It costs two calls that look at no job.
func FindWorkforce(ctx context.Context, c *bellhop.Client) (*Workforce, error) {
	processes, err := c.Processes(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := c.Store().Stats(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("look for paused queues: %w", err)
	}
	return NewWorkforce(processes, queues), nil
}

// NewWorkforce makes a workforce of what is known already.
func NewWorkforce(processes []bellhop.ProcessStatus, queues []bellhop.QueueStats) *Workforce {
	w := &Workforce{Processes: processes, paused: map[string]bool{}}
	for _, q := range queues {
		w.paused[q.Queue] = q.Paused
	}
	return w
}

// Works reports whether some process works the kind, some process the queue, and one of them both: only that one can run a job.
func (w *Workforce) Works(kind, queue string) (kinds, queues, both bool) {
	for i := range w.Processes {
		p := &w.Processes[i]
		k, q := slices.Contains(p.Kinds, kind), slices.Contains(p.Queues, queue)
		kinds, queues, both = kinds || k, queues || q, both || k && q
	}
	return kinds, queues, both
}

// Hint says what keeps a job of this kind and queue from being run, in words that can follow "the job waits:". It is empty if
// nothing does, and for states other than the waiting ones.
func (w *Workforce) Hint(state bellhop.State, kind, queue string) string {
	kinds, queues, both := w.Works(kind, queue)
	switch {
	case !state.Waiting():
		return ""
	case w.paused[queue]:
		return fmt.Sprintf("queue %s is paused; bellhop queues resume %s", queue, queue)
	case both:
		return ""
	case len(w.Processes) == 0:
		return "there is no living process"
	case kinds && queues:
		return fmt.Sprintf("no living process works the kind %q on the queue %q: some work the one, some the other", kind, queue)
	case queues:
		return fmt.Sprintf("no living process works the kind %q", kind)
	case kinds:
		return fmt.Sprintf("no living process works the queue %q", queue)
	}
	return fmt.Sprintf("no living process works the kind %q, nor the queue %q", kind, queue)
}

// QueueHint says that a queue has jobs that are ready or scheduled, and nobody to run them; else it is empty.
func (w *Workforce) QueueHint(q *bellhop.QueueStats) string {
	if _, worked, _ := w.Works("", q.Queue); worked || q.Ready+q.Scheduled == 0 {
		return ""
	}
	return fmt.Sprintf("no living process works the queue %q", q.Queue)
}
