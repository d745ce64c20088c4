package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/store/storetest"
)

// strangers enqueues jobs of a kind that no test process knows.
func strangers(t testing.TB, s *sqlite.Store, n int) {
	t.Helper()
	for ; n > 0; n -= 1000 {
		jobs := testJobs(min(n, 1000))
		for _, j := range jobs {
			j.Kind = "test.stranger"
		}
		_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
		must(t, err)
	}
}

// poll claims until it gets a job: full looks come after a while only.
func poll(t *testing.T, s *sqlite.Store, p bellhop.Process) []bellhop.Claim {
	t.Helper()
	for end := time.Now().Add(hang); time.Now().Before(end); {
		reply, err := s.Exchange(t.Context(), request(p, 10))
		must(t, err)
		if len(reply.Claims) > 0 {
			return reply.Claims
		}
		time.Sleep(5 * time.Millisecond) // between two looks; nothing tells when the next full one is due
	}
	t.Fatal("no claim")
	return nil
}

// Jobs of unknown kinds at the head are passed over: those behind are claimed in
// order, what becomes ready before them is found, and the strangers stay as they are.
func TestUnknownKindsAtTheHead(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "jobs.db"))
	strangers(t, s, 3000)
	jobs := testJobs(30)
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
	must(t, err)
	p := testProcess()
	_, err = s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	var claims []bellhop.Claim
	for range 3 {
		reply, err := s.Exchange(t.Context(), request(p, 10))
		must(t, err)
		claims = append(claims, reply.Claims...)
	}
	for i, c := range claims {
		if c.Job.ID != jobs[i].ID {
			t.Fatalf("claim %d is of another job", i)
		}
	}
	if reply, err := s.Exchange(t.Context(), request(p, 10)); err != nil || len(reply.Claims) > 0 {
		t.Fatalf("%v, %v: want no claims", reply, err)
	}
	// Handed back, a job stands before the bound, in its old turn.
	r := request(p, 0)
	r.Outcomes = []bellhop.Outcome{claims[3].HandBack("")}
	_, err = s.Exchange(t.Context(), r)
	must(t, err)
	if again := poll(t, s, p); len(again) != 1 || again[0].Job.ID != jobs[3].ID {
		t.Errorf("claimed %v", again)
	}
	// A new job stands behind it.
	_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
	if reply, err := s.Exchange(t.Context(), request(p, 10)); err != nil || len(reply.Claims) != 1 {
		t.Errorf("%v, %v: want the new job at once", reply, err)
	}
	if n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{Kinds: []string{"test.stranger"}, States: bellhop.States(bellhop.StateReady)}, 1e6); n != 3000 || err != nil {
		t.Errorf("%d strangers are ready, %v; want 3000", n, err)
	}
}

// BenchmarkUnknownKinds shows what 100,000 jobs of unknown kinds at the head
// cost: the two rates should be alike.
func BenchmarkUnknownKinds(b *testing.B) {
	for name, n := range map[string]int{"none": 0, "100000": 100_000} {
		b.Run(name, func(b *testing.B) {
			s := openAt(b, filepath.Join(b.TempDir(), "jobs.db"))
			strangers(b, s, n)
			p := testProcess()
			_, err := s.Beat(b.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
			must(b, err)
			const jobs = 20_000
			for range jobs / 1000 {
				_, err := s.Enqueue(b.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1000)})
				must(b, err)
			}
			began, done := time.Now(), 0
			for r := request(p, 100); ; r = request(p, 100) {
				reply, err := s.Exchange(b.Context(), r)
				must(b, err)
				if done += len(reply.Claims); len(reply.Claims) == 0 {
					break
				}
			}
			b.ReportMetric(float64(done)/time.Since(began).Seconds(), "claims/s")
		})
	}
}
