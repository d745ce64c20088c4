//go:build unix

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// TestJudge shows the judge a small storm in which all went well, and then
// storms in which one thing each went wrong: it must find every one of them.
func TestJudge(t *testing.T) {
	const here, elsewhere = 100, 200 // processes
	began := time.Now().Add(-time.Minute)
	tests := []struct {
		name  string
		wrong func(s *scene)
		want  string // empty if nothing is wrong
	}{
		{"all is well", func(*scene) {}, ""},
		{"run again after a kill", func(s *scene) { s.again(2); s.kill(here, 0) }, ""},
		{"run again for nothing", func(s *scene) { s.again(2) }, "nothing had happened"},
		{"run again after the kill of another", func(s *scene) { s.again(2); s.kill(elsewhere, 0) }, "nothing had happened"},
		{"run again after an outage", func(s *scene) { s.again(2); s.out(500 * time.Millisecond) }, ""},
		{"run again, its outcome lost in an outage", func(s *scene) { s.again(2); s.out(1500 * time.Millisecond) }, ""},
		{"run again, long done before the outage", func(s *scene) { s.again(2); s.out(10 * time.Second) }, "nothing had happened"},
		{"run again, begun after the outage", func(s *scene) { s.again(2); s.out(-10 * time.Second) }, "nothing had happened"},
		{"lost", func(s *scene) { s.w.producer.jobs[bellhop.NewID()] = accepted{want: bellhop.StateSucceeded} }, "is lost"},
		{"never accepted", func(s *scene) { delete(s.w.producer.jobs, s.id) }, "never accepted"},
		{"never run", func(s *scene) { s.lines = nil }, "never ran"},
		{"the wrong end", func(s *scene) { s.w.producer.jobs[s.id] = accepted{want: bellhop.StateDead} }, "want dead"},
		{"a stale outcome believed", func(s *scene) { s.again(7); s.kill(here, 0) }, "its last run was claim 7"},
		{"an end without effect", func(s *scene) { s.lines = s.lines[:1] }, "its last run was claim 1"},
		{"started twice", func(s *scene) { s.lines = append(s.lines, s.lines[0]) }, "started twice"},
		{"recovered too late", func(s *scene) { s.kill(here, recoverWithin+time.Second) }, "taken back only after"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, here, began)
			tt.wrong(s)
			l, err := openLedger(s.w.ledger)
			if err != nil {
				t.Fatal(err)
			}
			defer l.file.Close()
			for _, line := range s.lines {
				if _, err := l.file.WriteString(line); err != nil {
					t.Fatal(err)
				}
			}
			s.end(t)
			err = s.w.judge(t.Context(), time.Minute, nil)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("the judge says %v, want %q", err, tt.want)
			}
		})
	}
}

// scene is a storm of one job, that succeeds in its last claim.
type scene struct {
	w      *weather
	id     bellhop.ID
	began  time.Time
	pid    int
	claims int64 // that the store makes
	lines  []string
}

func newScene(t *testing.T, pid int, began time.Time) *scene {
	client, err := bellhop.NewClient(memory.New())
	if err != nil {
		t.Fatal(err)
	}
	r, err := plain.Enqueue(t.Context(), client, work{})
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{id: r.ID, began: began, pid: pid, claims: 1, w: &weather{
		settings: settings{out: testOut{t}}, client: client, children: &children{}, ledger: filepath.Join(t.TempDir(), "ledger"),
		producer: &producer{jobs: map[bellhop.ID]accepted{r.ID: {want: bellhop.StateSucceeded}}},
	}}
	s.run(1, 0)
	return s
}

// run adds a run, with its effect, to the ledger.
func (s *scene) run(claim int64, after time.Duration) {
	at := s.began.Add(after)
	s.lines = append(s.lines, ledgerLine(lineStart, s.id, claim, 1, s.pid, at), ledgerLine(lineDone, s.id, claim, 1, s.pid, at.Add(time.Second)))
}

// again has the job swept and run again, under a claim of which the ledger says that it has this number.
func (s *scene) again(claim int64) {
	s.claims = 2
	s.run(claim, 20*time.Second)
}

// kill ends a process half a second after the first run began.
func (s *scene) kill(pid int, back time.Duration) {
	at := s.began.Add(500 * time.Millisecond)
	s.w.blows = append(s.w.blows, &blow{pid: pid, at: at, until: at, held: 1, back: back})
}

// out has the server away for a second, so long after the first run began.
func (s *scene) out(after time.Duration) {
	from := s.began.Add(after)
	s.w.downs = append(s.w.downs, outage{from: from, until: from.Add(time.Second)})
}

// end has the store do what is to be judged.
func (s *scene) end(t *testing.T) {
	t.Helper()
	store, process := s.w.client.Store(), bellhop.Process{ID: bellhop.NewID()}
	if _, err := store.Beat(t.Context(), &bellhop.Beat{Process: process, Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n <= s.claims; n++ {
		reply, err := store.Exchange(t.Context(), &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: process.ID, Kinds: []string{plain.Kind()}, Wants: []bellhop.Want{{Queue: "plain", Count: 1}}, Limit: 1,
		})
		if err != nil || len(reply.Claims) != 1 {
			t.Fatalf("claim: %+v, %v", reply, err)
		}
		o := reply.Claims[0].Sweep(time.Now())
		if n == s.claims {
			o = reply.Claims[0].Settle(bellhop.Policy{}, bellhop.Return{Result: fmt.Append(nil, n)})
		}
		if reply, err = store.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{o}}); err != nil || len(reply.Refused) > 0 {
			t.Fatalf("hand in: %+v, %v", reply, err)
		}
	}
	if _, err := store.Beat(t.Context(), &bellhop.Beat{Process: process, Leave: true}); err != nil {
		t.Fatal(err)
	}
}
