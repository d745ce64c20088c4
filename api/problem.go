package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/docs"
)

// Problem is the body of every error reply, as application/problem+json (RFC 9457).
type Problem struct {
	// Type names the kind of problem and never changes: "urn:bellhop:problem:invalid".
	Type string `json:"type"`
	// Title says what the type means.
	Title string `json:"title"`
	// Status is the reply's status.
	Status int `json:"status"`
	// Detail says in one line what is wrong here, and what to do.
	Detail string `json:"detail,omitempty"`
	// Help is where the problem is explained.
	Help string `json:"help,omitempty"`
	// Index is the place of the refused job in its call, from 0; nil if the call had but one, or as a whole is refused.
	Index *int `json:"index,omitempty"`
	// Field is the field, or the parameter, that is wrong.
	Field string `json:"field,omitempty"`
	// Offset is the place in the body, or in the line, where it ceases to be JSON, in bytes from 0.
	Offset *int `json:"offset,omitempty"`
	// IDs are the jobs in question.
	IDs []bellhop.ID `json:"ids,omitempty"`

	allow   string          // for the header Allow
	refusal *access.Refusal // for the headers WWW-Authenticate and Retry-After
}

// Error returns title and detail in one line.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// problemType is a kind of problem.
type problemType struct {
	name   string
	status int
	title  string
}

var (
	malformed       = problemType{"malformed", http.StatusBadRequest, "The body cannot be read"}
	badParameter    = problemType{"parameter", http.StatusBadRequest, "A parameter is not usable"}
	unauthorized    = problemType{"unauthorized", http.StatusUnauthorized, "A token is needed"}
	forbidden       = problemType{"forbidden", http.StatusForbidden, "Your role does not allow it"}
	tooOften        = problemType{"rate", http.StatusTooManyRequests, "Too many requests"}
	tooManyLogins   = problemType{"logins", http.StatusTooManyRequests, "Too many wrong tokens"}
	loginFailed     = problemType{"login-failed", http.StatusServiceUnavailable, "It could not be found out who you are"}
	crossOrigin     = problemType{"cross-origin", http.StatusForbidden, "Other origins may not do this"}
	readOnly        = problemType{"read-only", http.StatusForbidden, "The server is read-only"}
	notFound        = problemType{"not-found", http.StatusNotFound, "There is no such job or process"}
	unknownRoute    = problemType{"unknown-route", http.StatusNotFound, "There is nothing here"}
	wrongMethod     = problemType{"method", http.StatusMethodNotAllowed, "The method does not fit the path"}
	slowBody        = problemType{"timeout", http.StatusRequestTimeout, "The body came too slowly"}
	idTaken         = problemType{"id-taken", http.StatusConflict, "The id belongs to another job"}
	wrongState      = problemType{"state", http.StatusConflict, "The job's state does not allow it"}
	tooLarge        = problemType{"too-large", http.StatusRequestEntityTooLarge, "The body is too large"}
	wrongMedia      = problemType{"media-type", http.StatusUnsupportedMediaType, "The content type is not supported"}
	wrongHost       = problemType{"host", http.StatusMisdirectedRequest, "The server does not answer for this host"}
	invalid         = problemType{"invalid", http.StatusUnprocessableEntity, "What was given breaks a rule"}
	internal        = problemType{"internal", http.StatusInternalServerError, "The server failed"}
	unsupported     = problemType{"unsupported", http.StatusNotImplemented, "The store does not offer this"}
	unavailable     = problemType{"unavailable", http.StatusServiceUnavailable, "The store is unavailable"}
	notAlive        = problemType{"not-alive", http.StatusServiceUnavailable, "The process stands still"}
	notReady        = problemType{"not-ready", http.StatusServiceUnavailable, "The server is not ready"}
	unknownOutcome  = problemType{"unknown", http.StatusServiceUnavailable, "It is not known whether the jobs were enqueued"}
	tooManyWatchers = problemType{"too-many-streams", http.StatusServiceUnavailable, "Too many event streams are open"}
)

// refusals are the problems that refusals become.
var refusals = map[access.Cause]problemType{
	access.WrongHost: wrongHost, access.CrossOrigin: crossOrigin, access.TooManyRequests: tooOften, access.TooManyLogins: tooManyLogins,
	access.Stranger: unauthorized, access.Forbidden: forbidden, access.ReadOnly: readOnly, access.Broken: loginFailed,
}

const problemPrefix = "urn:bellhop:problem:"

// because makes a problem of the type.
func (t problemType) because(format string, args ...any) *Problem {
	return &Problem{
		Type: problemPrefix + t.name, Title: t.title, Status: t.status, Help: docs.Address + "#" + t.name,
		Detail: bellhop.CleanText(fmt.Sprintf(format, args...), 1024),
	}
}

// in says which field a problem is about.
func (p *Problem) in(field string) *Problem {
	p.Field = field
	return p
}

// at says which job of a call a problem is about. where is for people: "job 3" or "job 3 (line 5)".
func (p *Problem) at(index int, where string) *Problem {
	p.Index = &index
	p.Detail = where + ": " + p.Detail
	return p
}

// wireNames are the fields that the library calls otherwise than the API. Those without a name of their own on the wire are empty.
var wireNames = map[string]string{
	"arguments": "args", "run-at": "run_at", "metadata": "meta", "jobs": "", "job": "", "option": "",
}

func wireName(field string) string {
	if name, ok := wireNames[field]; ok {
		return name
	}
	return field
}

// problemOf turns an error of the library into a problem. What readers give stands in the request line, and is a bad
// parameter; what writers give is in the body, which could be read but breaks a rule.
func problemOf(err error, reading bool) *Problem {
	var p *Problem
	var bad *bellhop.InvalidError
	var unsure *bellhop.UnknownError
	var refusal *access.Refusal
	rule := invalid
	if reading {
		rule = badParameter
	}
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refusal):
		p = refusals[refusal.Cause].because("%s", refusal.Text)
		p.refusal = refusal
		return p
	case errors.As(err, &unsure): // before what it wraps
		p = unknownOutcome.because("%d jobs may or may not have been enqueued: send them again with these ids, or the same Idempotency-Key, to make sure", len(unsure.IDs))
		p.IDs = unsure.IDs
		return p
	case errors.As(err, &bad):
		p = rule.because("%s", strings.TrimPrefix(bad.Error(), "bellhop: ")).in(wireName(bad.Field))
		if bad.Index >= 0 {
			p.Index = &bad.Index
		}
		return p
	case errors.Is(err, bellhop.ErrInvalid):
		return rule.because("%s", strings.TrimPrefix(err.Error(), "bellhop: "))
	case errors.Is(err, bellhop.ErrNotFound):
		return notFound.because("it may have been deleted, or pruned after its retention")
	case errors.Is(err, bellhop.ErrIDTaken):
		return takenID(err)
	case errors.Is(err, bellhop.ErrUnsupported):
		return unsupported.because("%s", strings.TrimPrefix(err.Error(), "bellhop: "))
	case errors.Is(err, bellhop.ErrClosed):
		return unavailable.because("the server is stopping")
	case errors.Is(err, bellhop.ErrUnavailable), errors.Is(err, bellhop.ErrSchemaNewer), errors.Is(err, bellhop.ErrSchemaOlder):
		return unavailable.because("the store cannot be reached, or cannot work just now: try again")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unavailable.because("the store did not answer in time: try again")
	}
	return internal.because("the server's log tells why")
}

func takenID(err error) *Problem {
	p := idTaken.because("a job with this id exists and asks for other work: repeat a call as it was, or choose another id")
	var item *bellhop.ItemError
	if errors.As(err, &item) {
		p.Index = &item.Index
	}
	return p.in("id")
}

// refuse answers with the problem of an error, and logs what is not the caller's fault.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err, r.Method == http.MethodGet || r.Method == http.MethodHead)
	var given *Problem
	if p.refusal != nil {
		s.auditRefusal(r, p.refusal)
	}
	if p.Status >= 500 && !errors.As(err, &given) && p.refusal == nil && r.Context().Err() == nil {
		s.log.Error("a request failed", "method", r.Method, "path", bellhop.CleanText(r.URL.Path, 256),
			"status", p.Status, bellhop.AttrError, err)
	}
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	h.Set("Content-Type", mediaProblem)
	switch p.Status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "2")
	case http.StatusMethodNotAllowed:
		h.Set("Allow", p.allow)
	case http.StatusRequestTimeout:
		h.Set("Connection", "close")
	}
	if p.refusal != nil {
		p.refusal.SetHeader(h)
	}
	body, err := json.Marshal(p)
	if err != nil { // strings, numbers and ids always encode
		panic(err)
	}
	writeBody(w, p.Status, body)
}
