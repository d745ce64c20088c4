package worker

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/control"
)

// obeyBeats is every how many beats a worker reads what it was told: within fifteen
// seconds, as the calls that idle workers make are few.
const obeyBeats = 3

// remote is what people have told this worker from elsewhere; see package
// control. Guarded by Worker.mu.
type remote struct {
	drained bool
	limits  map[string]int // by queue, instead of the program's own
	own     map[string]int // the program's own: Config.Queues, or what SetConcurrency said last
	// seen are the processes that lived when the others were counted last.
	seen map[bellhop.ID]bellhop.ProcessStatus
}

// obeyRound reads what people have told this worker and its queues, and obeys.
func (w *Worker) obeyRound(ctx context.Context) (next time.Duration, err error) {
	w.mu.Lock()
	w.polls.owe()
	id := w.process.ID
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	state, err := control.For(ctx, w.store, id, slices.Sorted(maps.Keys(w.config.Queues)))
	if err != nil {
		return 0, err
	}
	w.obey(id, state)
	return 0, nil
}

func (w *Worker) obey(id bellhop.ID, state *control.State) {
	drains, changed := state.Drains(id), false
	w.mu.Lock()
	if w.process.ID != id { // it has begun anew meanwhile
		w.mu.Unlock()
		return
	}
	if drains != w.remote.drained {
		w.remote.drained, changed = drains, true
		w.log.Info("somebody has told the worker from elsewhere whether to take jobs", "drained", drains, "by", state.Drained[id].By)
	}
	if drains {
		w.handBackDrained()
	}
	for name, q := range w.held.queues {
		n := state.Concurrency(name)
		if n == w.remote.limits[name] {
			continue
		}
		changed = true
		if w.remote.limits == nil {
			w.remote.limits = map[string]int{}
		}
		w.remote.limits[name] = n
		if n == 0 {
			n = w.ownLimit(name)
		}
		w.log.Info("somebody has set the concurrency of a queue from elsewhere", bellhop.AttrQueue, name, "concurrency", n, "by", state.Queues[name].By)
		w.held.resize(q, n)
	}
	var start []*attempt
	if changed && !drains {
		start = w.held.startable()
	}
	w.mu.Unlock()
	for _, a := range start {
		go w.work(a)
	}
	if changed {
		w.wakeExchange()
	}
}

// ownLimit returns how many jobs of a queue the program itself wants to run at once. Called under w.mu.
func (w *Worker) ownLimit(queue string) int {
	if n := w.remote.own[queue]; n > 0 {
		return n
	}
	return w.config.Queues[queue]
}

// setOwn notes what the program itself wants, and reports whether somebody
// elsewhere wants something else, which holds. Called under w.mu.
func (w *Worker) setOwn(queue string, n int) (overruled bool) {
	if w.remote.own == nil {
		w.remote.own = map[string]int{}
	}
	w.remote.own[queue] = n
	return w.remote.limits[queue] > 0
}

// handBackDrained gives back what has not started. Called under w.mu.
func (w *Worker) handBackDrained() {
	for _, q := range w.held.order {
		w.handBack(q, "its process was drained", nil)
	}
}

// saw notes which processes live, for the records of those that die.
func (w *Worker) saw(alive []bellhop.ProcessStatus) {
	seen := make(map[bellhop.ID]bellhop.ProcessStatus, len(alive))
	for _, p := range alive {
		seen[p.ID] = p
	}
	w.mu.Lock()
	w.remote.seen = seen
	w.mu.Unlock()
}

// noteGone keeps for people what became of the jobs of dead processes. It is not
// worth a second try.
func (w *Worker) noteGone(ctx context.Context, claims []bellhop.Claim, outcomes []bellhop.Outcome, stays map[int]bool) {
	w.mu.Lock()
	seen := w.remote.seen
	w.mu.Unlock()
	byProcess := map[bellhop.ID]*control.Gone{}
	var list []*control.Gone
	for i := range claims {
		if stays[i] {
			continue
		}
		id := claims[i].Place.Process
		g := byProcess[id]
		if g == nil {
			p := seen[id]
			g = &control.Gone{
				Process: id, Name: p.Name, Host: p.Host, Version: p.Version, StartedAt: p.StartedAt, LastBeat: p.BeatAt,
				SweptAt: w.now(), SweptBy: w.config.Name,
			}
			byProcess[id] = g
			list = append(list, g)
		}
		g.Add(&outcomes[i])
	}
	if err := control.WriteGone(ctx, w.store, list); err != nil {
		w.log.Warn("what became of a dead process's jobs could not be noted; the jobs themselves were taken back", bellhop.AttrError, err.Error())
	}
}
