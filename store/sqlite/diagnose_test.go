package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// finding returns the finding on a subject, and checks that it says what it should.
func finding(t *testing.T, s *sqlite.Store, subject, level, detail string) {
	t.Helper()
	all, err := s.Diagnose(t.Context())
	must(t, err)
	whole, err := s.Examine(t.Context())
	must(t, err)
	all = append(all, whole...)
	for _, f := range all {
		if f.Subject == subject {
			if f.Level != level || !strings.Contains(f.Detail, detail) || (f.Level != "ok") != (f.Advice != "") {
				t.Errorf("%+v: want a %s with %q", f, level, detail)
			}
			return
		}
	}
	t.Errorf("nothing is said of %q in %+v", subject, all)
}

func TestDiagnose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	clock := bellhop.NewManualClock(time.Now())
	s := openAt(t, path, sqlite.WithClock(clock))
	for subject, detail := range map[string]string{
		"schema": "version", "integrity": "is sound", "durability": "survives", "write-ahead log": "iB",
		"lock files": "of living processes: 0", "writing": "a write took", "processes": "0 alive", "blocked jobs": "none",
	} {
		finding(t, s, subject, "ok", detail)
	}
	p := testProcess()
	_, err := s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: 10 * time.Hour})
	must(t, err)
	_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(2)})
	must(t, err)
	_, err = s.Exchange(t.Context(), request(p, 2))
	must(t, err)
	clock.Advance(time.Hour)
	finding(t, s, "process test", "warning", "silent for 1h")
	_, err = s.Beat(t.Context(), &bellhop.Beat{Process: p, Leave: true})
	must(t, err)
	finding(t, s, "orphans", "warning", "2 running jobs have no living process")
	db := raw(t, path, "")
	run(t, db, `insert into bellhop_blocked (job, queue, due) select job, queue, due from bellhop_running limit 1`)
	run(t, db, `delete from bellhop_running where job in (select job from bellhop_blocked)`)
	clock.Advance(48 * time.Hour)
	finding(t, s, "blocked jobs", "warning", "1 have been blocked")
	normal, err := sqlite.Open(t.Context(), "sqlite:"+path+"?synchronous=normal")
	must(t, err)
	defer normal.Close()
	finding(t, normal, "durability", "warning", "synchronous=normal")
	rollback := newOn(t, raw(t, filepath.Join(t.TempDir(), "old.db"), "_pragma=journal_mode(delete)"))
	finding(t, rollback, "durability", "warning", "the journal mode is delete")
	bare := openAt(t, filepath.Join(t.TempDir(), "bare.db"), sqlite.WithMigrate("only"))
	finding(t, bare, "schema", "problem", "version 0")
}

// Lock files that nobody needs any more are removed when a store is opened.
func TestStaleLockFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	p := testProcess()
	_, err := s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	held := filepath.Join(path+"-bellhop", "process-"+p.ID.String()+".lock")
	stale := filepath.Join(path+"-bellhop", "process-"+bellhop.NewID().String()+".lock")
	fresh := filepath.Join(path+"-bellhop", "process-"+bellhop.NewID().String()+".lock")
	must(t, os.WriteFile(stale, nil, 0o600))
	must(t, os.WriteFile(fresh, nil, 0o600))
	old := time.Now().Add(-48 * time.Hour)
	must(t, os.Chtimes(stale, old, old))
	must(t, os.Chtimes(held, old, old))
	openAt(t, path)
	for file, want := range map[string]bool{held: true, fresh: true, stale: false} {
		if _, err := os.Stat(file); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", file, err == nil, want)
		}
	}
}
