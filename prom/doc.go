// Package prom gives what Bellhop does to Prometheus.
//
// Make [Metrics], hand its options to the client and, so that calls to the store are timed too, open the store through it:
//
//	metrics := prom.New(prom.Options{})
//	client, err := metrics.Open(ctx, "postgres://…")
//	prometheus.MustRegister(metrics)
//
// or serve [Metrics.Handler], which has a registry of its own, under /metrics.
//
// A job passes through it as events: it is counted when it is enqueued, and each of its attempts when it ends, by the process in which
// that happens. Counters and histograms are therefore each process's own, and are to be summed. Gauges of queues are looked up in the
// store and are the same whichever process is asked, so that it is enough to scrape one, and right to scrape all: take the maximum over
// them, never the sum.
//
// Names are in base units; those that end in _total are counters. No label holds a job's id, and a bound on their number keeps
// a program that invents kinds or queues from filling the memory: what is beyond it counts under "(other)".
package prom
