package otel_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/otel"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/worker"
)

type order struct{ N int }

// world is a client and a worker that are watched.
type world struct {
	t       *testing.T
	client  *bellhop.Client
	spans   *tracetest.SpanRecorder
	tracer  oteltrace.Tracer
	reader  *sdkmetric.ManualReader
	ended   chan bellhop.Event
	handler func(context.Context, order) error
}

var ship = bellhop.Define[order]("order.ship", bellhop.Queue("orders"))

func newWorld(t *testing.T, opts otel.Options) *world {
	w := &world{t: t, spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(), ended: make(chan bellhop.Event, 100)}
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(w.spans))
	w.tracer = provider.Tracer("test")
	opts.TracerProvider, opts.MeterProvider = provider, sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))
	i, err := otel.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	w.client, err = bellhop.NewClient(memory.New(), append(i.Client(), bellhop.OnEvent(func(e bellhop.Event) {
		if e.Claim > 0 && e.Type != bellhop.EventClaimed {
			w.ended <- e
		}
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	runner := worker.New(w.client, worker.Config{Queues: worker.Queues{"orders": 1}, Middleware: []worker.Middleware{i.Attempt}})
	runner.Handle(ship.With(func(ctx context.Context, o order) error { return w.handler(ctx, o) }))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = w.client.Close()
	})
	return w
}

// run enqueues one job inside a request's span, waits until an attempt of it has ended, and returns the spans by kind.
func (w *world) run(opts ...bellhop.Option) (request, producer, consumer trace.ReadOnlySpan) {
	w.t.Helper()
	ctx, span := w.tracer.Start(w.t.Context(), "request")
	if _, err := ship.Enqueue(ctx, w.client, order{7}, opts...); err != nil {
		w.t.Fatal(err)
	}
	span.End()
	<-w.ended
	for _, s := range w.spans.Ended() {
		switch s.SpanKind() {
		case oteltrace.SpanKindProducer:
			producer = s
		case oteltrace.SpanKindConsumer:
			consumer = s
		default:
			request = s
		}
	}
	if producer == nil || consumer == nil {
		w.t.Fatal("a span is missing")
	}
	return request, producer, consumer
}

func has(s trace.ReadOnlySpan, key string) (attribute.Value, bool) {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value, true
		}
	}
	return attribute.Value{}, false
}

// TestTraceOfAnAttempt: the trace is kept with an attempt that has failed.
func TestTraceOfAnAttempt(t *testing.T) {
	w := newWorld(t, otel.Options{})
	w.handler = func(context.Context, order) error { return bellhop.Dead(errors.New("no")) }
	_, _, consumer := w.run()
	j, err := w.client.List(t.Context(), bellhop.Query{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := w.client.Get(t.Context(), j.Jobs[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"trace":"` + consumer.SpanContext().TraceID().String() + `"}`; len(found.History) != 1 || string(found.History[0].Log) != want {
		t.Errorf("the history is %+v, want the log %s", found.History, want)
	}
}

func TestLinkedAcrossTheBoundary(t *testing.T) {
	w := newWorld(t, otel.Options{})
	var seen oteltrace.SpanContext
	w.handler = func(ctx context.Context, _ order) error {
		seen = oteltrace.SpanContextFromContext(ctx)
		return nil
	}
	request, producer, consumer := w.run()
	if producer.Parent().SpanID() != request.SpanContext().SpanID() {
		t.Error("the enqueue is no part of the request's trace")
	}
	if consumer.SpanContext().TraceID() == producer.SpanContext().TraceID() || consumer.Parent().IsValid() {
		t.Error("the attempt is part of the request's trace, which may have ended long ago")
	}
	if links := consumer.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != producer.SpanContext().SpanID() {
		t.Errorf("the attempt's links are %v, want the enqueue", links)
	}
	if seen.SpanID() != consumer.SpanContext().SpanID() {
		t.Error("the handler does not see its span")
	}
	if producer.Name() != "enqueue orders" || consumer.Name() != "process orders" {
		t.Errorf("the spans are called %q and %q", producer.Name(), consumer.Name())
	}
	if v, ok := has(consumer, "bellhop.attempt"); !ok || v.AsInt64() != 1 {
		t.Errorf("bellhop.attempt is %v", v)
	}
	for _, s := range []trace.ReadOnlySpan{producer, consumer} {
		for _, a := range s.Attributes() {
			if strings.HasPrefix(string(a.Key), "messaging.") {
				t.Errorf("%s: %s is a name of the conventions, which nobody asked for", s.Name(), a.Key)
			}
		}
	}
}

func TestChild(t *testing.T) {
	w := newWorld(t, otel.Options{Child: true, Messaging: true})
	w.handler = func(context.Context, order) error { return nil }
	_, producer, consumer := w.run()
	if consumer.Parent().SpanID() != producer.SpanContext().SpanID() || consumer.SpanContext().TraceID() != producer.SpanContext().TraceID() {
		t.Error("the attempt does not continue the trace")
	}
	for key, want := range map[string]string{"messaging.system": "bellhop", "messaging.operation.name": "process", "messaging.operation.type": "process", "messaging.destination.name": "orders"} {
		if v, _ := has(consumer, key); v.AsString() != want {
			t.Errorf("%s is %q, want %q", key, v.AsString(), want)
		}
	}
}

func TestOutcomesOnSpans(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		panic bool
		code  codes.Code
		class string
	}{
		{name: "error", err: errors.New("no ship"), code: codes.Error, class: "error"},
		{name: "snooze", err: bellhop.Snooze(time.Hour)},
		{name: "discard", err: bellhop.Discard(errors.New("sold out"))},
		{name: "dead", err: bellhop.Dead(errors.New("no address")), code: codes.Error, class: "error"},
		{name: "panic", panic: true, code: codes.Error, class: "panic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, otel.Options{})
			w.handler = func(context.Context, order) error {
				if c.panic {
					panic("sunk")
				}
				return c.err
			}
			_, _, consumer := w.run(bellhop.Attempts(1))
			if got := consumer.Status().Code; got != c.code {
				t.Errorf("the status is %v, want %v", got, c.code)
			}
			if v, _ := has(consumer, "error.type"); v.AsString() != c.class {
				t.Errorf("error.type is %q, want %q", v.AsString(), c.class)
			}
		})
	}
}

func TestFullMetadataLosesTheTraceAndNotTheJob(t *testing.T) {
	w := newWorld(t, otel.Options{})
	w.handler = func(context.Context, order) error { return nil }
	_, _, consumer := w.run(bellhop.Meta("k", strings.Repeat("x", bellhop.MaxMeta-10)))
	if len(consumer.Links()) != 0 {
		t.Error("there is a link, though the metadata had no room for it")
	}
}

func TestForeignContextIsKept(t *testing.T) {
	w := newWorld(t, otel.Options{})
	w.handler = func(context.Context, order) error { return nil }
	const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	_, _, consumer := w.run(bellhop.Meta("traceparent", given))
	if links := consumer.Links(); len(links) != 1 || links[0].SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the links are %v, want the context that the job was given", links)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, otel.Options{Messaging: true})
	w.handler = func(context.Context, order) error { return errors.New("no") }
	w.run(bellhop.Attempts(1))
	var data metricdata.ResourceMetrics
	if err := w.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					counts[m.Name] += p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					counts[m.Name] += int64(p.Count)
				}
			}
		}
	}
	for _, name := range []string{
		"bellhop.jobs.enqueued", "bellhop.jobs.finished", "bellhop.attempts", "bellhop.job.run.duration", "bellhop.job.wait.duration",
		"messaging.client.sent.messages", "messaging.client.consumed.messages", "messaging.process.duration",
	} {
		if counts[name] != 1 {
			t.Errorf("%s is %d, want 1", name, counts[name])
		}
	}
}
