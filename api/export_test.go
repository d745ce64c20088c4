package api

import (
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// SetPace makes event streams look at the store, and speak on idle connections, as often as a test wants.
func (s *Server) SetPace(look, heartbeat time.Duration) { s.watch.every, s.heartbeat = look, heartbeat }

// FillStreams takes all places for event streams, until leave is called.
func (s *Server) FillStreams() (leave func()) {
	var all []*stream
	for st := s.watch.follow(bellhop.NewID()); st != nil; st = s.watch.follow(bellhop.NewID()) {
		all = append(all, st)
	}
	return func() {
		for _, st := range all {
			s.watch.leave(st)
		}
	}
}

// Document returns openapi.json.
func Document() []byte { return document }

// SetBodyTimeout bounds the time in which a body must arrive.
func (s *Server) SetBodyTimeout(d time.Duration) { s.bodyTimeout = d }

// SetReplyTimeout bounds the time until a reply has been taken.
func (s *Server) SetReplyTimeout(d time.Duration) { s.replyTimeout = d }

// ForgetProbe makes the next /readyz ask the store.
func (s *Server) ForgetProbe() { s.store.Keep = 0 }

// ForgetQueues makes the next question about queues look at them.
func (s *Server) ForgetQueues() { s.queues.Forget() }

// ProblemNames lists the types of problems.
func ProblemNames() (list []string) {
	for _, t := range []problemType{
		malformed, badParameter, unauthorized, forbidden, tooOften, tooManyLogins, loginFailed, crossOrigin, readOnly, notFound, unknownRoute, wrongMethod, slowBody, idTaken, wrongState, tooLarge,
		wrongMedia, wrongHost, invalid, internal, unsupported, unavailable, notAlive, notReady, unknownOutcome, tooManyWatchers,
	} {
		list = append(list, t.name)
	}
	return list
}

// Route is one endpoint for tests.
type Route struct {
	Method, Path string
	Need         access.Role
	Action       string
}

// Routes lists the endpoints.
func (s *Server) Routes() (list []Route) {
	for _, rt := range s.routes {
		list = append(list, Route{rt.method, rt.path, rt.need, rt.action})
	}
	return list
}

// Fields returns the names of the fields that a request schema of the document must have.
func Fields() map[string][]string {
	return map[string][]string{
		"NewJob": keys(jobFields), "Filter": keys(filterFields), "ManyAction": keys(actFields), "Reason": keys(reasonFields), "NewMark": keys(markFields), "NewConcurrency": keys(concurrencyFields),
	}
}

// Parameters returns the query parameters of the operations that take any.
func Parameters() map[string][]string {
	return map[string][]string{
		"listJobs": listParameters, "countJobs": countParameters, "getMetrics": metricsParameters, "getJob": getParameters, "listAudit": auditParameters,
	}
}

func keys[V any](m map[string]V) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	return list
}
