package redis_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// A failure stays a failure, and none none, whatever texts it has and with a log or without.
func TestFailuresAndLogs(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	p := process(t, s)
	for _, failure := range []*bellhop.Failure{nil, {}, {Class: "c"}, {Message: "m"}, {Stack: "s"}, {Class: "c", Message: "m", Stack: "s"}} {
		for _, log := range [][]byte{nil, []byte(`{"lines":[]}`)} {
			enqueue(t, s, testJobs(1)...)
			c := claim(t, s, p, 1)[0]
			o := bellhop.Outcome{
				Token: c.Token, Kind: bellhop.OutcomeRetry, Attempt: 1, Number: 1, Started: c.Place.ClaimedAt, Ended: c.Place.ClaimedAt, Failures: 1,
				Failure: failure, Log: log, Wait: 1 << 50,
			}
			if _, err := s.Exchange(t.Context(), request(p, 0, o)); err != nil {
				t.Fatal(err)
			}
			found, err := s.Get(t.Context(), []bellhop.ID{c.Token.JobID})
			if err != nil || len(found) != 1 || len(found[0].History) != 1 {
				t.Fatalf("%+v, %v", found, err)
			}
			if a := found[0].History[0]; !cmp.Equal(a.Failure, failure) || !bytes.Equal(a.Log, log) {
				t.Errorf("of %+v and the log %q there is %+v and %q", failure, log, a.Failure, a.Log)
			}
			l, err := s.List(t.Context(), &bellhop.Query{WithLast: true, Limit: 1})
			if err != nil || len(l.Jobs) != 1 || len(l.Jobs[0].History) != 1 {
				t.Fatalf("of %+v and the log %q a listing has %+v, %v", failure, log, l, err)
			}
			if a := l.Jobs[0].History[0]; !cmp.Equal(a.Failure, failure) || a.Log != nil {
				t.Errorf("of %+v and the log %q a listing tells %+v and %q, want no log", failure, log, a.Failure, a.Log)
			}
		}
	}
}
