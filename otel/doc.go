// Package otel gives what Bellhop does to OpenTelemetry: spans for enqueueing and running that are linked across the time between them,
// and metrics.
//
//	tracing, err := otel.New(otel.Options{})
//	client, err := bellhop.Open(ctx, "postgres://…", tracing.Client()...)
//	w := worker.New(client, worker.Config{Queues: …, Middleware: []worker.Middleware{tracing.Attempt}})
//
// A job passes through it twice. When it is enqueued, a producer span is made, and its context is written into the job's metadata in
// the form of W3C Trace Context (the key "traceparent", and "tracestate" if there is one). When it is run, each attempt gets a consumer span that
// begins a trace of its own and is linked to the producer's, because a job may run hours after the request that asked for it; with
// Options.Child it continues the producer's trace instead.
//
// Span names and attributes are Bellhop's own and stay as they are. The names of OpenTelemetry's messaging conventions, which are still
// under development, come beside them if Options.Messaging is set; they follow version 1.43.0 (https://opentelemetry.io/docs/specs/semconv/messaging/).
package otel
