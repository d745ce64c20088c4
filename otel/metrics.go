package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/observe"
)

// meters are the instruments; those of the messaging conventions are nil unless asked for.
type meters struct {
	enqueued, attempts, finished, stale metric.Int64Counter
	run, wait                           metric.Float64Histogram

	sent, consumed metric.Int64Counter
	process        metric.Float64Histogram
}

// bounds of the histograms, in seconds.
var bounds = metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)

func newMeters(m metric.Meter, conventions bool) (*meters, error) {
	out := &meters{}
	var first error
	counter := func(name, unit, help string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(help))
		if err != nil && first == nil {
			first = err
		}
		return c
	}
	histogram := func(name, help string) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(help), bounds)
		if err != nil && first == nil {
			first = err
		}
		return h
	}
	out.enqueued = counter("bellhop.jobs.enqueued", "{job}", "Jobs that this process enqueued and that were not there before.")
	out.finished = counter("bellhop.jobs.finished", "{job}", "Jobs that came to an end in this process, by outcome.")
	out.attempts = counter("bellhop.attempts", "{attempt}", "Attempts that ended in this process, by outcome.")
	out.stale = counter("bellhop.attempts.stale", "{attempt}", "Attempts whose claim was lost before they ended.")
	out.run = histogram("bellhop.job.run.duration", "Time from the start of an attempt's handler to its end.")
	out.wait = histogram("bellhop.job.wait.duration", "Time from when a job was due to the start of its handler.")
	if conventions {
		out.sent = counter("messaging.client.sent.messages", "{message}", "Jobs that this process enqueued.")
		out.consumed = counter("messaging.client.consumed.messages", "{message}", "Attempts that this process ran.")
		out.process = histogram("messaging.process.duration", "Time from the start of an attempt's handler to its end.")
	}
	return out, first
}

// heed counts an event.
func (m *meters) heed(e bellhop.Event) {
	c := observe.Count(e)
	if c.What == observe.Nothing {
		return
	}
	ctx := context.Background()
	of := metric.WithAttributes(attribute.String("bellhop.queue", e.Queue), attribute.String("bellhop.kind", e.Kind))
	conventional := metric.WithAttributes(attribute.String("messaging.system", "bellhop"), attribute.String("messaging.destination.name", e.Queue))
	switch c.What {
	case observe.Lost:
		m.stale.Add(ctx, 1, of)
		return
	case observe.Enqueued:
		m.enqueued.Add(ctx, 1, of)
		if m.sent != nil {
			m.sent.Add(ctx, 1, conventional, metric.WithAttributes(attribute.String("messaging.operation.name", "enqueue")))
		}
		return
	}
	outcome := metric.WithAttributes(attribute.String("bellhop.outcome", c.Outcome))
	m.attempts.Add(ctx, 1, of, outcome)
	if e.To.Final() {
		m.finished.Add(ctx, 1, of, outcome)
	}
	if !c.Ran {
		return
	}
	m.run.Record(ctx, e.Took.Seconds(), of)
	m.wait.Record(ctx, e.Waited.Seconds(), of)
	if m.process == nil {
		return
	}
	doing := metric.WithAttributes(attribute.String("messaging.operation.name", "process"))
	if e.Failure != nil {
		conventional = metric.WithAttributes(attribute.String("messaging.system", "bellhop"), attribute.String("messaging.destination.name", e.Queue),
			attribute.String("error.type", e.Failure.Class))
	}
	m.consumed.Add(ctx, 1, conventional, doing)
	m.process.Record(ctx, e.Took.Seconds(), conventional, doing)
}
