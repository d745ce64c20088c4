package access

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Cause is why a request is refused.
type Cause string

// The causes.
const (
	WrongHost       Cause = "host"         // it was sent to a host that the server does not answer for: 421
	CrossOrigin     Cause = "cross-origin" // it comes from a page of another origin: 403
	TooManyRequests Cause = "rate"         // its client asks too often: 429
	TooManyLogins   Cause = "logins"       // its client has tried too many wrong passwords or tokens: 429
	Stranger        Cause = "unauthorized" // nobody knows whose it is: 401
	Forbidden       Cause = "forbidden"    // the viewer does not have the role: 403
	ReadOnly        Cause = "read-only"    // nobody may change anything here: 403
	Broken          Cause = "login-failed" // it could not be found out whose it is: 503
)

var statuses = map[Cause]int{
	WrongHost: http.StatusMisdirectedRequest, CrossOrigin: http.StatusForbidden, TooManyRequests: http.StatusTooManyRequests,
	TooManyLogins: http.StatusTooManyRequests, Stranger: http.StatusUnauthorized, Forbidden: http.StatusForbidden,
	ReadOnly: http.StatusForbidden, Broken: http.StatusServiceUnavailable,
}

// Refusal is why a request may not come in, or may not do what it asks for.
type Refusal struct {
	Cause Cause
	// Text says in one line, for the one who asks, what is wrong and what to do.
	Text string
	// Who is the name of the one who is refused, for the audit; empty for strangers.
	Who string
	// Challenges are what a stranger is asked to show, as values of the header WWW-Authenticate.
	Challenges []string
	// RetryAfter is how long a client that asks too often is to wait; 0 for other causes.
	RetryAfter time.Duration
	// Err is what [Authorize] could not do if the cause is [Broken]; it is for the log.
	Err error
}

func refuse(cause Cause, format string, args ...any) *Refusal {
	return &Refusal{Cause: cause, Text: fmt.Sprintf(format, args...)}
}

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// Status returns the status to answer with.
func (r *Refusal) Status() int { return statuses[r.Cause] }

// SetHeader sets the headers WWW-Authenticate and Retry-After of an answer.
func (r *Refusal) SetHeader(h http.Header) {
	for _, challenge := range r.Challenges {
		h.Add("WWW-Authenticate", challenge)
	}
	if r.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((r.RetryAfter+time.Second-1)/time.Second)))
	}
}
