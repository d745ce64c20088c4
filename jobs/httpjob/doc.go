// Package httpjob is the built-in kind "http.request": one HTTP call, made
// later, until the other side has taken it.
//
// A job's arguments ([Args]) are the call: method, URL, headers, body. They are
// checked before the job is enqueued (args.go), so that what is enqueued can be
// sent.
//
// # How a job passes through
//
// The handler that [New] makes checks the arguments again, since they may have
// come by another way, and makes the first request of them (request.go): with
// an Idempotency-Key that stays the same over all attempts, the job's id, the
// attempt, the trace context and, if the job names a secret, a signature by the
// rules of Standard Webhooks (signature.go). The connection is made by a dialler
// that looks at the address after the name has been resolved, and refuses
// addresses that are not public (address.go). A redirect makes the next request,
// under the same rules (redirect.go). What came back is then judged (verdict.go):
//
//	2xx                        succeeded; status, some headers and the start of a text stay as the job's result,
//	                           also where the answer has not ended when the time is up or the attempt is cut short
//	408, 425, 429, 5xx         another try, not before the time that Retry-After asks for
//	no answer, or half of one  another try: refused, cut off, timed out, no such host, bad certificate
//	other statuses             dead: no retry helps, a person must look
//	a refused address          dead, if the name has no other
//
// An attempt whose answer was lost is made again, and the receiver sees the
// request twice. It can tell so by the Idempotency-Key.
//
// # Redirects
//
// At most 5 are followed. 307 and 308 repeat the request with its body. 303
// becomes a GET. 301 and 302 are followed for GET and HEAD; for other methods
// they end the job as dead, because clients disagree on whether such a request
// becomes a GET, and a POST whose body was dropped on the way would count as
// delivered. From https to http none is followed. On the way to another host
// every header stays behind that could hold a secret.
//
// # Secrets
//
// Error texts hold no header values of the job, and of a URL no query values.
// The path of a URL is shown.
package httpjob
