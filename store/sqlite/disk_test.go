package sqlite_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/store/storetest"
)

// A full disk is an error that says so, nothing that was accepted is lost, and
// work goes on once there is space.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a small file system can be mounted by root only")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no tmpfs here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	s, err := sqlite.Open(t.Context(), "sqlite:"+filepath.Join(dir, "jobs.db"))
	must(t, err)
	defer s.Close()
	accepted := 0
	for {
		jobs := testJobs(100)
		for _, j := range jobs {
			j.Args = make([]byte, 1000)
		}
		if _, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs}); err != nil {
			break
		}
		accepted += len(jobs)
	}
	if !errors.Is(err, bellhop.ErrUnavailable) || !errors.Is(err, bellhop.ErrUnchanged) || !strings.Contains(err.Error(), "is full: free some space") {
		t.Errorf("%v does not say what is wrong", err)
	}
	if n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{}, 1e6); err != nil || n != accepted {
		t.Errorf("%d jobs, %v; %d were accepted", n, err, accepted)
	}
	must(t, os.Remove(ballast))
	_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
	p := testProcess()
	_, err = s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	reply, err := s.Exchange(t.Context(), request(p, 10))
	if err != nil || len(reply.Claims) != 10 {
		t.Errorf("after the full disk %v, %v", reply, err)
	}
}

// A damaged file is told in one line, by reading, writing and the diagnosis.
func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	for range 20 {
		_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(100)})
		must(t, err)
	}
	must(t, s.Close())
	content, err := os.ReadFile(path)
	must(t, err)
	for page := 4096 * 2; page < len(content); page += 4096 { // all pages but those of the schema
		if page/4096 > 30 {
			for i := range 4096 {
				content[page+i] ^= 0x5a
			}
		}
	}
	must(t, os.WriteFile(path, content, 0o600))
	s, err = sqlite.Open(t.Context(), "sqlite:"+path)
	if err == nil {
		defer s.Close()
		var p bellhop.Process
		for range 50 {
			p = testProcess()
			if _, err = s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour}); err != nil {
				break
			}
			if _, err = s.Exchange(t.Context(), request(p, 1000)); err != nil {
				break
			}
		}
	}
	if !errors.Is(err, bellhop.ErrUnavailable) || !errors.Is(err, bellhop.ErrUnchanged) || !strings.Contains(err.Error(), path+" is damaged") {
		t.Fatalf("%v does not say what is wrong", err)
	}
	if s == nil {
		return
	}
	findings, err := s.Examine(t.Context())
	if err != nil && !strings.Contains(err.Error(), "damaged") {
		t.Fatal(err)
	}
	if err == nil && (findings[0].Level != "problem" || !strings.Contains(findings[0].Detail, "damaged")) {
		t.Errorf("the examination begins with %+v", findings[0])
	}
}

// The write-ahead log grows while somebody reads, and is cut when they are gone.
func TestWALAfterLongReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	reader, err := raw(t, path, "").BeginTx(t.Context(), nil)
	must(t, err)
	var n int
	must(t, reader.QueryRowContext(t.Context(), `select count(*) from bellhop_jobs`).Scan(&n))
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		must(t, err)
		return info.Size()
	}
	add := func() {
		jobs := testJobs(100)
		for _, j := range jobs {
			j.Args = make([]byte, 100_000)
		}
		_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
		must(t, err)
	}
	const most = 64 << 20
	for range 9 {
		add()
	}
	if size() < most {
		t.Fatalf("the log has %d bytes, too few for this test", size())
	}
	must(t, reader.Rollback())
	add()
	add()
	if size() > most {
		t.Errorf("the log still has %d bytes", size())
	}
}
