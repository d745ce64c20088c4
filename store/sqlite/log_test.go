package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
)

// readAll keeps transactions open that read, each for a while, so that at any
// moment there is one, until the function that it returns is called.
func readAll(t *testing.T, s *sqlite.Store, readers int, each time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			time.Sleep(each * time.Duration(i) / time.Duration(readers)) // so that one begins in the midst of the other
			for ctx.Err() == nil {
				tx, err := sqlite.Reading(ctx, s)
				if err != nil {
					continue // ctx has ended
				}
				var n int
				if err := tx.QueryRowContext(ctx, "select count(*) from bellhop_schema").Scan(&n); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				time.Sleep(each) // it reads for so long
				_ = tx.Rollback()
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// readWithoutGap keeps a transaction open that reads, each time the newest: one begins before the last has ended. That cannot fail to
// be so, however slow the machine is, and leaves the log's keeper no moment.
func readWithoutGap(t *testing.T, s *sqlite.Store, each time.Duration) (stop func()) {
	t.Helper()
	begin := func() *sql.Tx {
		tx, err := sqlite.Reading(context.WithoutCancel(t.Context()), s)
		if err == nil {
			var n int
			err = tx.QueryRow("select count(*) from bellhop_schema").Scan(&n)
		}
		if err != nil {
			t.Error(err)
		}
		return tx
	}
	last, ended, over := begin(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for last != nil {
			select {
			case <-ended:
				_ = last.Rollback()
				return
			case <-time.After(each): // it reads for so long
			}
			next := begin()
			_ = last.Rollback()
			last = next
		}
	}()
	return func() { close(ended); <-over }
}

// write enqueues about so many bytes and returns the size of the longest log.
func write(t *testing.T, s *sqlite.Store, path string, bytes int) (most int64) {
	t.Helper()
	for bytes > 0 {
		jobs := testJobs(100)
		for _, j := range jobs {
			j.Args = make([]byte, 2000)
		}
		if _, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path + "-wal"); err == nil {
			most = max(most, info.Size())
		}
		bytes -= 100 * 2000
	}
	return most
}

// Readers that overlap without a gap would let the write-ahead log grow for ever.
func TestLogStaysShortBesideReaders(t *testing.T) {
	const limit = 1 << 20
	for _, kept := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "jobs.db")
		max := int64(limit)
		if !kept {
			max = 1 << 40 // the log is left to SQLite alone
		}
		s, err := sqlite.Open(t.Context(), "sqlite:"+path, sqlite.WithMaxLog(max))
		must(t, err)
		within := hang
		var stop func()
		if kept {
			stop = readAll(t, s, 4, 8*time.Millisecond)
		} else {
			stop, within = readWithoutGap(t, s, 8*time.Millisecond), time.Second
		}
		most := write(t, s, path, 24<<20)
		short := shortensWithin(t, s, path, limit, within)
		stop()
		must(t, s.Close())
		t.Logf("kept %v: the log had %d KiB at most", kept, most>>10)
		if kept && !short {
			t.Error("the log does not start again beside readers")
		}
		if !kept && (short || most < 18<<20) {
			t.Errorf("the log had only %d KiB without its keeper: the test shows nothing", most>>10)
		}
	}
}

// Who comes to a database by a link finds its log, which stands beside the file itself.
func TestLogOfALink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link.db")
	must(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
	must(t, os.Symlink("real/jobs.db", link))
	s := openAt(t, link)
	write(t, s, link, 200_000)
	findings, err := s.Diagnose(t.Context())
	must(t, err)
	for _, f := range findings {
		if f.Subject == "write-ahead log" && f.Detail != "0 KiB" {
			return
		}
	}
	t.Errorf("the log is not found: %+v", findings)
}

// shortensWithin writes a little now and then until the log is short, and tells whether that came in time.
func shortensWithin(t *testing.T, s *sqlite.Store, path string, limit int64, within time.Duration) bool {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); {
		write(t, s, path, 200_000)
		if info, err := os.Stat(path + "-wal"); err == nil && info.Size() <= limit {
			return true
		}
		time.Sleep(20 * time.Millisecond) // after a vain try the next comes a quarter of a second later, or more
	}
	return false
}

// A reader that stays lets the log grow, and does not hold up writers for that.
func TestLogWaitsForALongReader(t *testing.T) {
	const limit = 1 << 20
	path := filepath.Join(t.TempDir(), "jobs.db")
	s, err := sqlite.Open(t.Context(), "sqlite:"+path, sqlite.WithMaxLog(limit))
	must(t, err)
	defer s.Close()
	write(t, s, path, 200_000)
	tx, err := sqlite.Reading(t.Context(), s)
	must(t, err)
	var before, after int
	must(t, tx.QueryRowContext(t.Context(), "select count(*) from bellhop_jobs").Scan(&before))
	began := time.Now()
	most := write(t, s, path, 12<<20)
	// A try waits 200 ms for readers. Were there one at each of 60 calls, the wait for the next, which doubles, would be its longest;
	// as it should be, all the waits before it have gone by.
	took, wait := time.Since(began), sqlite.LogWait(s)
	if most < 8<<20 || wait == 0 || wait > took+time.Second {
		t.Errorf("beside a long reader the log grew to %d KiB, writing took %v, and then the log is left alone for %v", most>>10, took, wait)
	}
	must(t, tx.QueryRowContext(t.Context(), "select count(*) from bellhop_jobs").Scan(&after))
	if before != after {
		t.Errorf("the long reader saw %d jobs and then %d", before, after)
	}
	must(t, tx.Rollback())
	if !shortensWithin(t, s, path, limit, hang) {
		t.Error("the log does not start again when the reader has gone")
	}
}
