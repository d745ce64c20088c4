// Package api is the HTTP API: one [net/http.Handler] through which programs in any language enqueue jobs, watch them and
// look after them. It speaks to a [bellhop.Client] and knows no store.
//
// A job comes in by POST /v1/jobs, alone, in an array or as lines (enqueue.go). The door checks who asks (guard.go), reads the
// body under its limits (endpoint.go), checks each field by name (decode.go) and hands everything to the client in one call:
// all jobs are taken, or none. Arguments are kept as the very bytes that came. The reply names the job; GET /v1/jobs/{id}
// and its events tell how it fares (jobs.go, events.go), actions retry, run, cancel, discard or delete it (actions.go).
//
// Every error is a [Problem] (RFC 9457). The whole API is described by openapi.json, which is served as /v1/openapi.json; a
// test compares it with the routes.
//
// # A closed door
//
// [Options] must say who may come in. A request first comes to an [access.Door], which looks at its host, its origin, how often its
// client asks, and who it is (guard.go); only then is a body read. What the viewer may do is a role for each queue: the table of
// routes says what a route takes at least, and each handler asks for the queue in question. Jobs of queues on which a viewer
// has no role do not exist for him. Values of secrets are shown as [redacted] unless an admin asks for them, and every
// action, refused ones too, is written to the audit (audit.go). Limits on the header (ReadHeaderTimeout) belong to the
// [net/http.Server] too. docs/security.md tells all of it.
package api
