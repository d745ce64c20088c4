package prom

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/look"
)

// What is looked up in the store: the same from every process.
var (
	queueJobs = prometheus.NewDesc("bellhop_queue_jobs",
		"Jobs of a queue by state: scheduled, blocked, ready, running, dead. Counted up to a bound. Store-wide: take max, not sum.", []string{"queue", "state"}, nil)
	queueAge = prometheus.NewDesc("bellhop_queue_oldest_ready_age_seconds",
		"How long the job has been ready that has been ready longest; 0 if none is. Store-wide: take max, not sum.", byQueue, nil)
	queuePaused = prometheus.NewDesc("bellhop_queue_paused",
		"1 if the queue is paused. Store-wide: take max, not sum.", byQueue, nil)
	queueWorkers = prometheus.NewDesc("bellhop_queue_workers",
		"Living processes that work the queue. Store-wide: take max, not sum.", byQueue, nil)
	processes = prometheus.NewDesc("bellhop_processes",
		"Living worker processes. Store-wide: take max, not sum.", nil, nil)
	slots = prometheus.NewDesc("bellhop_worker_slots",
		"How many jobs all living processes can run at once. Store-wide: take max, not sum.", nil, nil)
	busySlots = prometheus.NewDesc("bellhop_worker_slots_busy",
		"How many jobs all living processes ran at their last beat. Store-wide: take max, not sum.", nil, nil)
	storeUp = prometheus.NewDesc("bellhop_store_up",
		"1 if the store answered when its queues were last looked at from this process, else 0; what it does not answer is left out.", nil, nil)
	lookTook = prometheus.NewDesc("bellhop_store_look_seconds",
		"How long the last look at the queues took from this process.", nil, nil)
	lookAge = prometheus.NewDesc("bellhop_store_look_age_seconds",
		"How long ago the look began that the gauges of queues and processes are of.", nil, nil)
)

const (
	// scrapeWait is how long a scraper waits for a look.
	scrapeWait = 2 * time.Second
	// staleFor is for how long the last look is shown while the store is slow.
	staleFor = time.Minute
)

// queues shows what the look at a store's queues sees.
type queues struct {
	countTo int
	fresh   time.Duration
	look    atomic.Pointer[look.Shared[look.Queues]] // nil while there is no store to look at
}

// watch takes a store as the one to look at, and returns it with the look, for others in this process that want to know the same.
func (q *queues) watch(s bellhop.Store) bellhop.Store {
	s = look.Share(s)
	q.look.Store(look.To(s, q.countTo))
	return s
}

func (q *queues) describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueJobs, queueAge, queuePaused, queueWorkers, processes, slots, busySlots, storeUp, lookTook, lookAge} {
		out <- d
	}
}

func (q *queues) collect(out chan<- prometheus.Metric) {
	shared := q.look.Load()
	if shared == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWait)
	defer cancel()
	seen := shared.Get(ctx, q.fresh)
	to := gauges(out)
	if late := errors.Is(seen.Err, look.ErrLate); seen.Value == nil || seen.Err != nil && (!late || seen.Age() > staleFor+seen.Every()) {
		to.set(storeUp, 0)
		return
	}
	to.set(storeUp, 1)
	to.set(lookTook, seen.Took.Seconds())
	to.set(lookAge, seen.Age().Seconds())
	to.queues(seen.Value)
}

// gauges takes values.
type gauges chan<- prometheus.Metric

func (g gauges) set(d *prometheus.Desc, value float64, labels ...string) {
	g <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (g gauges) queues(seen *look.Queues) {
	workers := map[string]int{}
	all, busy := 0, 0
	for i := range seen.Processes {
		p := &seen.Processes[i]
		all, busy = all+p.Slots, busy+p.Busy
		for _, name := range p.Queues {
			workers[name]++
		}
	}
	g.set(processes, float64(len(seen.Processes)))
	g.set(slots, float64(all))
	g.set(busySlots, float64(busy))
	for i := range seen.Stats {
		st := &seen.Stats[i]
		for _, c := range []struct {
			state bellhop.State
			n     int
		}{
			{bellhop.StateScheduled, st.Scheduled},
			{bellhop.StateBlocked, st.Blocked},
			{bellhop.StateReady, st.Ready},
			{bellhop.StateRunning, st.Running},
			{bellhop.StateDead, st.Dead},
		} {
			g.set(queueJobs, float64(c.n), st.Queue, c.state.String())
		}
		paused := 0.0
		if st.Paused {
			paused = 1
		}
		g.set(queueAge, seen.Oldest(st).Seconds(), st.Queue)
		g.set(queuePaused, paused, st.Queue)
		g.set(queueWorkers, float64(workers[st.Queue]), st.Queue)
		delete(workers, st.Queue)
	}
	for name, n := range workers { // worked, and empty
		g.set(queueWorkers, float64(n), name)
		g.set(queueAge, 0, name)
	}
}
