package prom

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/observe"
)

// Defaults of [Options].
const (
	DefaultMaxSeries = 1000
	DefaultCountTo   = bellhop.QueuesCountedTo
	DefaultFresh     = 5 * time.Second
)

// Options are the settings of [Metrics]. The zero value is usable.
type Options struct {
	// Buckets are the upper bounds of the histograms of waiting and running, in seconds. Default: from 5 ms to 1 h, see [Buckets].
	Buckets []float64
	// MaxSeries bounds the pairs of queue and kind that have series of their own; later ones are counted as queue and kind "(other)".
	// Default 0: [DefaultMaxSeries].
	MaxSeries int
	// CountTo is how far the jobs of a queue in one state are counted for bellhop_queue_jobs: this number means that many or more. Of very
	// many queues a store may count fewer, 100 at least: see [bellhop.QueueStats]. Default 0: [DefaultCountTo].
	CountTo int
	// Fresh is how old the gauges of queues may be at a scrape, so that many scrapes do not mean many queries; they are also not asked
	// for more often than one part in twenty of the time. Default 0: [DefaultFresh].
	Fresh time.Duration
	// WithoutQueues leaves out what has to be looked up in the store. Default false.
	WithoutQueues bool
}

// Buckets are the default bounds of the histograms, in seconds: what people ask of background jobs lies between a few
// milliseconds and an hour.
var Buckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}

// Metrics collects what a client and the workers on it do. It is a [prometheus.Collector], safe for any number of goroutines.
type Metrics struct {
	opts     Options
	series   series
	enqueued *prometheus.CounterVec
	finished *prometheus.CounterVec
	attempts *prometheus.CounterVec
	stale    *prometheus.CounterVec
	run      *prometheus.HistogramVec
	wait     *prometheus.HistogramVec
	calls    *prometheus.HistogramVec
	faults   *prometheus.CounterVec
	queues   queues
}

var (
	_ prometheus.Collector = (*Metrics)(nil)

	byKind  = []string{"queue", "kind"}
	byEnd   = []string{"queue", "kind", "outcome"}
	byQueue = []string{"queue"}
	byOp    = []string{"op"}
)

// New returns metrics of nothing yet: see [Metrics.Open] and [Metrics.Options]. It panics if the buckets do not rise.
func New(opts Options) *Metrics {
	if opts.MaxSeries == 0 {
		opts.MaxSeries = DefaultMaxSeries
	}
	if opts.CountTo == 0 {
		opts.CountTo = DefaultCountTo
	}
	if opts.Fresh == 0 {
		opts.Fresh = DefaultFresh
	}
	if opts.Buckets == nil {
		opts.Buckets = Buckets
	}
	counter := func(name, help string, labels []string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels []string) *prometheus.HistogramVec {
		of := prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
		prometheus.NewHistogram(of) // panics over buckets, as the vector does not before its first value
		return prometheus.NewHistogramVec(of, labels)
	}
	m := &Metrics{
		opts:     opts,
		series:   series{most: opts.MaxSeries, known: map[[2]string]bool{}},
		enqueued: counter("bellhop_jobs_enqueued_total", "Jobs that this process enqueued and that were not there before.", byKind),
		finished: counter("bellhop_jobs_finished_total", "Jobs that came to an end in this process, by outcome: succeeded, discarded, dead, cancelled.", byEnd),
		attempts: counter("bellhop_attempts_total", "Attempts that ended in this process, by outcome.", byEnd),
		stale:    counter("bellhop_stale_attempts_total", "Attempts whose claim was lost before they ended; what they said was not believed.", byKind),
		run:      histogram("bellhop_job_run_duration_seconds", "Time from the start of an attempt's handler to its end.", opts.Buckets, byKind),
		wait:     histogram("bellhop_job_wait_duration_seconds", "Time from when a job was due to the start of its handler.", opts.Buckets, byQueue),
		calls: histogram("bellhop_store_operation_duration_seconds", "Time that a call to the store took.",
			[]float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, byOp),
		faults: counter("bellhop_store_errors_total", "Calls to the store that failed for a reason of the store.", byOp),
	}
	m.queues.countTo, m.queues.fresh = opts.CountTo, opts.Fresh
	return m
}

// Open opens the store at an address, as [bellhop.Open] does, and watches the client and its store.
func (m *Metrics) Open(ctx context.Context, address string, opts ...bellhop.Option) (*bellhop.Client, error) {
	store, err := bellhop.OpenStore(ctx, address)
	if err != nil {
		return nil, err
	}
	client, err := bellhop.NewClient(m.Store(store), slices.Concat(opts, m.Options())...)
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	return client, nil
}

// Options returns what a client needs to be watched. Events of a second client are added to those of the first.
func (m *Metrics) Options() []bellhop.Option { return []bellhop.Option{bellhop.OnEvent(m.heed)} }

// Store returns a store that times its calls, and takes it as the one whose queues are looked at. Give it to [bellhop.NewClient]: an API
// and a dashboard on that client share the look at the queues.
func (m *Metrics) Store(s bellhop.Store) bellhop.Store {
	return m.queues.watch(observe.Store(s, func(ctx context.Context, op bellhop.Op) (context.Context, func(time.Duration, error)) {
		return ctx, func(took time.Duration, err error) { m.called(op, took, err) }
	}))
}

func (m *Metrics) called(op bellhop.Op, took time.Duration, err error) {
	m.calls.WithLabelValues(string(op)).Observe(took.Seconds())
	if isFault(err) {
		m.faults.WithLabelValues(string(op)).Inc()
	}
}

// isFault reports whether an error is the store's: not the caller's mistake, nor what the contract answers in the course of things.
func isFault(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	var item *bellhop.ItemError
	for _, answer := range []error{
		bellhop.ErrConflict, bellhop.ErrStale, bellhop.ErrInvalid, bellhop.ErrIDTaken, bellhop.ErrNotFound, bellhop.ErrUnsupported,
		bellhop.ErrProcessGone, bellhop.ErrClosed, bellhop.ErrLocked,
	} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return !errors.As(err, &item)
}

// heed counts an event.
func (m *Metrics) heed(e bellhop.Event) {
	c := observe.Count(e)
	if c.What == observe.Nothing {
		return
	}
	queue, kind := m.series.labels(e.Queue, e.Kind)
	switch c.What {
	case observe.Enqueued:
		m.enqueued.WithLabelValues(queue, kind).Inc()
	case observe.Lost:
		m.stale.WithLabelValues(queue, kind).Inc()
	case observe.Ended:
		m.attempts.WithLabelValues(queue, kind, c.Outcome).Inc()
		if e.To.Final() {
			m.finished.WithLabelValues(queue, kind, c.Outcome).Inc()
		}
		if c.Ran {
			m.run.WithLabelValues(queue, kind).Observe(e.Took.Seconds())
			m.wait.WithLabelValues(queue).Observe(e.Waited.Seconds())
		}
	}
}

// series bounds how many pairs of queue and kind are told apart.
type series struct {
	most  int
	mu    sync.RWMutex
	known map[[2]string]bool
}

const other = "(other)"

func (s *series) labels(queue, kind string) (string, string) {
	pair := [2]string{queue, kind}
	s.mu.RLock()
	known := s.known[pair]
	s.mu.RUnlock()
	if known {
		return queue, kind
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known[pair] && len(s.known) >= s.most {
		return other, other
	}
	s.known[pair] = true
	return queue, kind
}

// vectors are the metrics that events and calls move.
func (m *Metrics) vectors() []prometheus.Collector {
	return []prometheus.Collector{m.enqueued, m.finished, m.attempts, m.stale, m.run, m.wait, m.calls, m.faults}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, v := range m.vectors() {
		v.Describe(out)
	}
	if !m.opts.WithoutQueues {
		m.queues.describe(out)
	}
}

// Collect implements [prometheus.Collector]. It may ask the store, for two seconds at most; what the store does not answer is left
// out, and bellhop_store_up is 0.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, v := range m.vectors() {
		v.Collect(out)
	}
	if !m.opts.WithoutQueues {
		m.queues.collect(out)
	}
}

// Handler serves the metrics, with those of the process and of the Go runtime, from a registry of its own.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	opts := promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}
	if log != nil {
		opts.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	}
	return promhttp.HandlerFor(registry, opts)
}
