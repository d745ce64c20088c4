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
// The handler answers only for host names that it was given, so that no page can reach it by a name of its own (DNS
// rebinding); it refuses requests that browsers send for pages of other origins; and with [Options].Token it wants a bearer
// token. Without a token it must be reachable from this machine only: that is for whoever listens to see to. Limits on the
// header (ReadHeaderTimeout) belong to the [net/http.Server] too.
package api
