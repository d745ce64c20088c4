package prom

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gobellhop/bellhop"
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
		"1 if the store answered when its queues were last looked at from this process, else 0.", nil, nil)
	lookTook = prometheus.NewDesc("bellhop_store_look_seconds",
		"How long the last look at the queues took from this process.", nil, nil)
)

// lookTimeout is how long a look may take: a scraper waits for it.
const lookTimeout = 2 * time.Second

// queues looks at the queues of a store, one look at a time, and keeps what it saw for a while.
type queues struct {
	countTo int
	fresh   time.Duration

	mu    sync.Mutex
	store bellhop.Store
	seen  *sight
	next  time.Time
}

// sight is what one look saw.
type sight struct {
	at        time.Time // the store's clock as far as this process knows it
	took      time.Duration
	stats     []bellhop.QueueStats
	processes []bellhop.ProcessStatus
	err       error
}

func (q *queues) watch(s bellhop.Store) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.store = s
}

func (q *queues) describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueJobs, queueAge, queuePaused, queueWorkers, processes, slots, busySlots, storeUp, lookTook} {
		out <- d
	}
}

// look returns what the queues are like, as of now or a little earlier; nil if there is no store to look at.
func (q *queues) look() *sight {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.store == nil || q.seen != nil && time.Now().Before(q.next) {
		return q.seen
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	began := time.Now()
	s := &sight{}
	if s.at, s.err = q.store.Ping(ctx); s.err == nil {
		s.stats, s.err = q.store.Stats(ctx, q.countTo)
	}
	if s.err == nil {
		s.processes, s.err = q.store.Processes(ctx)
	}
	s.took = time.Since(began)
	q.seen = s
	q.next = time.Now().Add(max(q.fresh, 20*s.took))
	if s.err != nil {
		q.next = time.Now().Add(q.fresh)
	}
	return s
}

func (q *queues) collect(out chan<- prometheus.Metric) {
	s := q.look()
	if s == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(lookTook, s.took.Seconds())
	if s.err != nil {
		gauge(storeUp, 0)
		return
	}
	gauge(storeUp, 1)
	workers := map[string]int{}
	all, busy := 0, 0
	for i := range s.processes {
		p := &s.processes[i]
		all, busy = all+p.Slots, busy+p.Busy
		for _, name := range p.Queues {
			workers[name]++
		}
	}
	gauge(processes, float64(len(s.processes)))
	gauge(slots, float64(all))
	gauge(busySlots, float64(busy))
	for i := range s.stats {
		st := &s.stats[i]
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
			gauge(queueJobs, float64(c.n), st.Queue, c.state.String())
		}
		age, paused := 0.0, 0.0
		if !st.OldestReady.IsZero() {
			age = max(s.at.Sub(st.OldestReady).Seconds(), 0)
		}
		if st.Paused {
			paused = 1
		}
		gauge(queueAge, age, st.Queue)
		gauge(queuePaused, paused, st.Queue)
		gauge(queueWorkers, float64(workers[st.Queue]), st.Queue)
		delete(workers, st.Queue)
	}
	for name, n := range workers { // worked, and empty
		gauge(queueWorkers, float64(n), name)
		gauge(queueAge, 0, name)
	}
}
