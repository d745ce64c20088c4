package sqlite_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/sqlite"
	"github.com/gobellhop/bellhop/store/storetest"
)

func openAt(t testing.TB, path string, opts ...sqlite.Option) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), "sqlite:"+path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// together runs commands beside each other and returns what they wrote to stderr if they fail.
func together(t *testing.T, cmds ...*exec.Cmd) {
	t.Helper()
	var group sync.WaitGroup
	for _, cmd := range cmds {
		group.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	group.Wait()
}

// Several processes find no store, and each makes it.
func TestFirstStartOfManyProcesses(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "jobs.db")
		var cmds []*exec.Cmd
		for range 8 {
			cmds = append(cmds, play(t, "open", path))
		}
		together(t, cmds...)
		s := openAt(t, path)
		have, newest, err := s.Schema(t.Context())
		if err != nil || have != newest {
			t.Fatalf("schema %d of %d, %v", have, newest, err)
		}
	}
}

// Four processes of fifty goroutines each see no error, and each job is done once.
func TestStormOfProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	var cmds []*exec.Cmd
	for range 4 {
		cmds = append(cmds, play(t, "storm", path))
	}
	together(t, cmds...)
	all, err := storetest.CountAll(t.Context(), s, bellhop.Filter{}, 1e6)
	must(t, err)
	if want := 4 * stormWorkers * stormRounds * 3; all != want {
		t.Errorf("%d jobs, want %d", all, want)
	}
	stats, err := s.Stats(t.Context(), 1e6)
	must(t, err)
	done, err := storetest.CountAll(t.Context(), s, bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}, 1e6)
	must(t, err)
	ready := 0
	for _, q := range stats {
		ready += q.Ready
		if q.Running > 0 {
			t.Errorf("%d jobs are running", q.Running)
		}
	}
	if done+ready != all {
		t.Errorf("%d done and %d ready, want %d in all", done, ready, all)
	}
}

// start starts a command and returns its output line by line.
func start(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	out, err := cmd.StdoutPipe()
	must(t, err)
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return bufio.NewReader(out)
}

// A process that is killed is seen at once, although its lease is an hour.
func TestDeathIsSeenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(3)})
	must(t, err)
	cmd := play(t, "hold", path)
	line, err := start(t, cmd).ReadString('\n')
	must(t, err)
	if line != "holds 3\n" {
		t.Fatal(line)
	}
	claims, err := s.Sweep(t.Context(), 100)
	if err != nil || len(claims) > 0 {
		t.Fatalf("while it lives: %d claims, %v", len(claims), err)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	claims, err = s.Sweep(t.Context(), 100)
	if err != nil || len(claims) != 3 {
		t.Fatalf("once it is dead: %d claims, %v; want 3", len(claims), err)
	}
	alive, err := s.Processes(t.Context())
	if err != nil || len(alive) > 0 {
		t.Fatalf("processes %v, %v", alive, err)
	}
	files, err := filepath.Glob(filepath.Join(path+"-bellhop", "process-*"))
	if err != nil || len(files) > 0 {
		t.Fatalf("lock files are left: %v, %v", files, err)
	}
}

// What a process accepted before it was killed is there, and the file is sound.
func TestKilledWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openAt(t, path)
	accepted := 0
	for round := range 10 {
		cmd := play(t, "write", path)
		out := start(t, cmd)
		var ids []bellhop.ID
		for range 5 + 3*round {
			line, err := out.ReadString('\n')
			must(t, err)
			ids = append(ids, parse(t, line)...)
		}
		must(t, cmd.Process.Kill())
		rest, err := io.ReadAll(out)
		if err != nil && !errors.Is(err, os.ErrClosed) {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		lines := strings.SplitAfter(string(rest), "\n")
		for _, line := range lines[:len(lines)-1] { // the last may be cut off
			ids = append(ids, parse(t, line)...)
		}
		found, err := s.Get(t.Context(), ids)
		if err != nil || len(found) != len(ids) {
			t.Fatalf("%d of %d accepted jobs are there, %v", len(found), len(ids), err)
		}
		accepted += len(ids)
	}
	all, err := storetest.CountAll(t.Context(), s, bellhop.Filter{}, 1e6)
	if err != nil || all < accepted || all%10 != 0 {
		t.Fatalf("%d jobs, %d accepted, %v: want whole calls of 10", all, accepted, err)
	}
	findings, err := s.Diagnose(t.Context())
	must(t, err)
	whole, err := s.Examine(t.Context())
	must(t, err)
	for _, f := range append(findings, whole...) {
		if f.Level != "ok" {
			t.Errorf("%+v", f)
		}
	}
}

func parse(t *testing.T, line string) (ids []bellhop.ID) {
	t.Helper()
	for word := range strings.FieldsSeq(line) {
		id, err := bellhop.ParseID(word)
		must(t, err)
		ids = append(ids, id)
	}
	return ids
}

// A commit of another process wakes those who listen.
func TestNotifyAcrossProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s, woken := openAt(t, path), make(chan string, 1000)
	stop := s.Notify(func(queue string) { woken <- queue })
	defer stop()
	start(t, play(t, "write", path))
	select {
	case queue := <-woken:
		if queue != "" {
			t.Errorf("woken for queue %q, want any", queue)
		}
	case <-time.After(hang):
		t.Fatal("not woken")
	}
}

// What happens through the store itself is told with the queue's name.
func TestNotifyAtOnce(t *testing.T) {
	s, woken := openAt(t, filepath.Join(t.TempDir(), "jobs.db")), make(chan string, 1000)
	stop := s.Notify(func(queue string) { woken <- queue })
	defer stop()
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(3)})
	must(t, err)
	if queue := <-woken; queue != "default" {
		t.Errorf("woken for queue %q", queue)
	}
}

// The beat of a process that holds nothing tells whether there is something to do.
func TestIdleBeat(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "jobs.db"))
	b := &bellhop.Beat{Process: bellhop.Process{ID: bellhop.NewID(), Queues: []string{"other", "default"}}, Lease: time.Minute}
	for _, idle := range []bool{true, false} {
		reply, err := s.Beat(t.Context(), b)
		must(t, err)
		if reply.Idle != idle {
			t.Errorf("a beat answered idle %v, want %v", reply.Idle, idle)
		}
		_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
		must(t, err)
	}
}
