package otel

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/gobellhop/bellhop"
)

// scope is what spans and metrics say they come from.
const scope = "github.com/gobellhop/bellhop/otel"

// Options are the settings of [New]. The zero value takes the global providers and W3C Trace Context.
type Options struct {
	// TracerProvider makes the spans. Default nil: the global one.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. Default nil: the global one.
	MeterProvider metric.MeterProvider
	// Propagator writes a span's context into a job's metadata and reads it. Default nil: W3C Trace Context, without baggage, since
	// baggage of a request has no place in a store.
	Propagator propagation.TextMapPropagator
	// Child lets an attempt continue the trace in which its job was enqueued, instead of beginning one that is linked to it.
	Child bool
	// Messaging adds the attributes and metrics of OpenTelemetry's messaging conventions.
	Messaging bool
}

// Instrumentation makes the spans and metrics. Make it with [New]; it is safe for any number of goroutines.
type Instrumentation struct {
	opts   Options
	tracer trace.Tracer
	meters *meters
}

// New returns an instrumentation. It fails only if the meter provider refuses an instrument.
func New(opts Options) (*Instrumentation, error) {
	if opts.TracerProvider == nil {
		opts.TracerProvider = otel.GetTracerProvider()
	}
	if opts.MeterProvider == nil {
		opts.MeterProvider = otel.GetMeterProvider()
	}
	if opts.Propagator == nil {
		opts.Propagator = propagation.TraceContext{}
	}
	meters, err := newMeters(opts.MeterProvider.Meter(scope, metric.WithInstrumentationVersion(version())), opts.Messaging)
	if err != nil {
		return nil, fmt.Errorf("bellhop/otel: make the instruments: %w", err)
	}
	return &Instrumentation{
		opts: opts, meters: meters,
		tracer: opts.TracerProvider.Tracer(scope, trace.WithInstrumentationVersion(version())),
	}, nil
}

// Client returns the options that a client needs, for [bellhop.Open] or [bellhop.NewClient].
func (i *Instrumentation) Client() []bellhop.Option {
	return []bellhop.Option{bellhop.OnEnqueue(i.Enqueue), bellhop.OnEvent(i.meters.heed)}
}

// Enqueue is middleware round an enqueue: one producer span for the call, whose context goes with each of the jobs. [Instrumentation.Client] adds it.
func (i *Instrumentation) Enqueue(ctx context.Context, jobs []*bellhop.Job, next bellhop.EnqueueFunc) ([]bellhop.Receipt, error) {
	queue, kind := common(jobs)
	attrs := []attribute.KeyValue{attribute.Int("bellhop.jobs", len(jobs))}
	attrs = addIf(attrs, "bellhop.queue", queue)
	attrs = addIf(attrs, "bellhop.kind", kind)
	if len(jobs) == 1 {
		attrs = append(attrs, attribute.String("bellhop.job", jobs[0].ID.String()))
	}
	if i.opts.Messaging {
		attrs = append(attrs, messaging("enqueue", "send", queue)...)
		if len(jobs) == 1 {
			attrs = append(attrs, attribute.String("messaging.message.id", jobs[0].ID.String()), attribute.Int("messaging.message.body.size", len(jobs[0].Args)))
		} else {
			attrs = append(attrs, attribute.Int("messaging.batch.message_count", len(jobs)))
		}
	}
	ctx, span := i.tracer.Start(ctx, name("enqueue", queue), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attrs...))
	defer span.End()
	for _, j := range jobs {
		i.inject(ctx, j)
	}
	receipts, err := next(ctx, jobs)
	fail(span, err)
	return receipts, err
}

// inject writes the span's context into the job's metadata, unless that would make it too large: a trace is not worth a job.
func (i *Instrumentation) inject(ctx context.Context, j *bellhop.Job) {
	carrier := propagation.MapCarrier{}
	i.opts.Propagator.Inject(ctx, carrier)
	if len(carrier) == 0 {
		return
	}
	size := 0
	meta := make(map[string]string, len(j.Meta)+len(carrier))
	for k, v := range j.Meta {
		meta[k], size = v, size+len(k)+len(v)
	}
	for k, v := range carrier {
		if _, taken := meta[k]; taken {
			return // the job was given a context on purpose
		}
		meta[k], size = v, size+len(k)+len(v)
	}
	if size <= bellhop.MaxMeta {
		j.Meta = meta
	}
}

// Attempt is middleware round an attempt: a consumer span for each. Put it into the worker's Config.Middleware.
func (i *Instrumentation) Attempt(ctx context.Context, run *bellhop.Run, next func(context.Context) error) (err error) {
	j := run.Job()
	producer := i.opts.Propagator.Extract(context.WithoutCancel(ctx), propagation.MapCarrier(j.Meta))
	attrs := []attribute.KeyValue{
		attribute.String("bellhop.job", j.ID.String()), attribute.String("bellhop.queue", j.Queue), attribute.String("bellhop.kind", j.Kind),
		attribute.Int("bellhop.attempt", run.Attempt()), attribute.Int("bellhop.failures", run.Failures()),
		attribute.Int64("bellhop.claim", run.Token().Number), attribute.Int("bellhop.priority", j.Priority),
	}
	if i.opts.Messaging {
		attrs = append(attrs, messaging("process", "process", j.Queue)...)
		attrs = append(attrs, attribute.String("messaging.message.id", j.ID.String()), attribute.Int("messaging.message.body.size", len(j.Args)))
	}
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...)}
	if from := trace.SpanContextFromContext(producer); from.IsValid() {
		if i.opts.Child {
			ctx = trace.ContextWithRemoteSpanContext(ctx, from)
		} else {
			opts = append(opts, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: from}))
		}
	}
	ctx, span := i.tracer.Start(ctx, name("process", j.Queue), opts...)
	if sc := span.SpanContext(); sc.IsSampled() { // else its trace is nowhere to be seen
		run.SetTrace(sc.TraceID().String())
	}
	returned := false
	defer func() {
		if !returned { // it panicked, or ended its goroutine; the worker sees to that
			span.SetAttributes(attribute.String("error.type", "panic"))
			span.SetStatus(codes.Error, "the handler did not return")
		}
		span.End()
	}()
	err = next(ctx)
	returned = true
	fail(span, err)
	return err
}

// fail says on the span what went wrong, if anything did: a snooze and a discard are no failures.
func fail(span trace.Span, err error) {
	if err == nil || !span.IsRecording() {
		return
	}
	asked := bellhop.AsksFor(err)
	if asked != 0 {
		span.SetAttributes(attribute.String("bellhop.asked", asked.String()))
	}
	if asked == bellhop.OutcomeSnooze || asked == bellhop.OutcomeDiscarded {
		return
	}
	f := bellhop.NewFailure(err)
	span.SetAttributes(attribute.String("error.type", f.Class))
	span.AddEvent("exception", trace.WithAttributes(attribute.String("exception.type", f.Class), attribute.String("exception.message", f.Message)))
	span.SetStatus(codes.Error, bellhop.CleanText(f.Message, 256))
}

// name is a span's: what is done, and to which queue. It never holds an id.
func name(operation, queue string) string { return strings.TrimSpace(operation + " " + queue) }

// common returns the queue and the kind that all jobs have, empty where they differ.
func common(jobs []*bellhop.Job) (queue, kind string) {
	if len(jobs) == 0 {
		return "", ""
	}
	queue, kind = jobs[0].Queue, jobs[0].Kind
	for _, j := range jobs[1:] {
		if j.Queue != queue {
			queue = ""
		}
		if j.Kind != kind {
			kind = ""
		}
	}
	return queue, kind
}

func addIf(attrs []attribute.KeyValue, key, value string) []attribute.KeyValue {
	if value == "" {
		return attrs
	}
	return append(attrs, attribute.String(key, value))
}

// messaging are the attributes of the conventions.
func messaging(operation, kind, queue string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("messaging.system", "bellhop"), attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.operation.type", kind),
	}
	return addIf(attrs, "messaging.destination.name", queue)
}

// version is Bellhop's, as built into the program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/gobellhop/bellhop" {
				return dep.Version
			}
		}
	}
	return ""
}
