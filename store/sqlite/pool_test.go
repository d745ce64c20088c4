package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// On a pool whose transactions are immediate, as Within wants them, reading
// still does not wait for a writer.
func TestReadingBesideAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := newOn(t, raw(t, path, "_txlock=immediate&_pragma=journal_mode(wal)&_pragma=busy_timeout(0)"))
	tx, err := raw(t, path, immediate).BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	_, err = s.List(ctx, &bellhop.Query{})
	must(t, err)
	_, err = s.Stats(ctx, 10)
	must(t, err)
	_, err = s.Sweep(ctx, 10)
	must(t, err)
}

// Without a write-ahead log a writer keeps readers out: they wait for it, and
// nobody sees a busy database.
func TestReadingBehindAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := newOn(t, raw(t, path, "_pragma=journal_mode(delete)&_pragma=busy_timeout(0)"))
	tx, err := raw(t, path, "_txlock=exclusive").BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	done := make(chan error)
	go func() {
		_, err := s.Processes(t.Context())
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it has not waited: %v", err)
	case <-time.After(20 * time.Millisecond): // nothing tells that it still waits
	}
	must(t, tx.Rollback())
	must(t, <-done)
}

// Whoever comes to a file by a link finds the locks of those who came without.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	must(t, os.Mkdir(real, 0o700))
	must(t, os.Symlink("real", link))
	must(t, os.Symlink("real/jobs.db", filepath.Join(dir, "early.db"))) // leads to no file yet
	for _, path := range []string{"early.db", "early.db", "link/jobs.db", "real/jobs.db"} {
		must(t, openAt(t, filepath.Join(dir, path)).Close())
	}
	must(t, newOn(t, raw(t, filepath.Join(dir, "early.db"), "")).Close())
	folders, err := filepath.Glob(filepath.Join(dir, "*-bellhop"))
	must(t, err)
	inReal, err := filepath.Glob(filepath.Join(real, "*-bellhop"))
	must(t, err)
	if len(folders) > 0 || len(inReal) != 1 {
		t.Errorf("lock files are in %v and %v, want them beside the file alone", folders, inReal)
	}
}

// Listeners that come and go at the same time leave no watching behind.
func TestNotifyComesAndGoes(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "jobs.db"))
	before := goleak.IgnoreCurrent()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5000 {
				s.Notify(func(string) {})()
			}
		})
	}
	all.Wait()
	goleak.VerifyNone(t, before)
}

// A claim from several lanes remembers for each how far it came in that one.
func TestLowerBoundsOfSeveralLanes(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "jobs.db"), sqlite.WithClock(bellhop.NewManualClock(time.Now())))
	s.LowerBounds = true
	jobs := testJobs(3)
	jobs[2].Queue = "other"
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
	must(t, err)
	p := testProcess()
	_, err = s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	r := request(p, 2)
	r.Wants = []bellhop.Want{{Queue: "default", Count: 1}, {Queue: "other", Count: 1}}
	reply, err := s.Exchange(t.Context(), r)
	must(t, err)
	if len(reply.Claims) != 2 {
		t.Fatalf("%d claims, want 2", len(reply.Claims))
	}
	reply, err = s.Exchange(t.Context(), request(p, 2))
	must(t, err)
	if len(reply.Claims) != 1 || reply.Claims[0].Job.ID != jobs[1].ID {
		t.Fatalf("the second job is passed over: %d claims", len(reply.Claims))
	}
}

// Arguments can be large: looking for a text in them, one call looks at a bounded
// number of jobs, and the next goes on from there.
func TestTextIsLookedForInBites(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "jobs.db"))
	for range 2 {
		_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(6000)})
		must(t, err)
	}
	calls := 1
	for q := (&bellhop.Query{Filter: bellhop.Filter{Text: "nowhere"}}); ; calls++ {
		page, err := s.List(t.Context(), q)
		must(t, err)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if calls < 3 {
		t.Errorf("12,000 jobs in %d calls", calls)
	}
}
