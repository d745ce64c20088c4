//go:build unix

package testservers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ownerVariable makes this program the owner in TestKilledOwner.
const ownerVariable = "BELLHOP_TESTSERVERS_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) != "" {
		if err := own(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	Main(m)
}

var starts = map[string]func(testing.TB, ...string) *Server{
	NamePostgres: StartPostgres, NameMariaDB: StartMariaDB, NameRedis: StartRedis,
}

// settings is a line of configuration for each server, which the test finds in its folder.
var settings = map[string]string{
	NamePostgres: "fsync=off", NameMariaDB: "innodb_flush_log_at_trx_commit=0", NameRedis: "appendfsync no",
}

// A server is killed, frozen, stopped and started again, and answers when it should and only then.
func TestOwn(t *testing.T) {
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, settings[name])
			answers := func(patience time.Duration) bool {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				return s.kind.ping(ctx, s.Address) == nil
			}
			for _, down := range []func(){s.Kill, s.Stop, func() { s.Freeze(); s.Stop() }, func() { s.Freeze(); s.Kill() }} {
				down()
				if answers(time.Second) {
					t.Error("it answers though it is down")
				}
				s.Start()
			}
			s.Freeze()
			if answers(time.Second) {
				t.Error("it answers though it is frozen")
			}
			s.Thaw()
			if !answers(within) {
				t.Error("it does not answer though it goes on")
			}
			if s.Log() == "" {
				t.Error("its log is empty")
			}
			if err := s.own.Start(); err == nil {
				t.Error("it was started twice")
			}
		})
	}
}

func TestDatabase(t *testing.T) {
	for _, get := range []func(testing.TB) *Server{Postgres, MariaDB} {
		s := get(t)
		t.Run(s.kind.store, func(t *testing.T) {
			exec := map[string]func(context.Context, string, string) error{NamePostgres: execPostgres, NameMariaDB: execMariaDB}[s.kind.store]
			var first string
			t.Run("makes", func(t *testing.T) {
				first = s.Database(t)
				for _, address := range []string{first, s.Database(t)} { // the second has no such table yet
					if err := exec(t.Context(), address, "CREATE TABLE made (n integer)"); err != nil {
						t.Error(err)
					}
				}
			})
			if err := exec(t.Context(), first, "SELECT 1"); err == nil {
				t.Error("the database is still there after its test")
			}
		})
	}
}

func TestCluster(t *testing.T) {
	c := RedisCluster(t)
	if len(c.Nodes) != masters {
		t.Errorf("%d nodes in %s", len(c.Nodes), c.Address)
	}
	for _, node := range c.Nodes {
		if _, err := redisDo(t.Context(), node, "GET testservers"); err != nil && !strings.HasPrefix(err.Error(), "MOVED") {
			t.Errorf("%s: %v", node, err)
		}
	}
}

// own starts the servers, tells of their processes, and waits to be killed. PostgreSQL is frozen: a stopped process ends by
// nobody's leave but ours.
func own(out io.Writer) error {
	for name := range starts {
		s, err := Launch(name)
		if err != nil {
			return err
		}
		server := s.proc.cmd.Process.Pid
		if name == NamePostgres {
			if err := s.Freeze(); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(out, s.folder.path, server, strings.Trim(fmt.Sprint(children(server)), "[]")); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	select {}
}

// When the owner is killed, its servers are gone soon after, and the next owner removes the folders.
func TestKilledOwner(t *testing.T) {
	temp := t.TempDir()
	if err := os.Chmod(filepath.Dir(temp), 0o711); err != nil { // the servers' users pass through
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.Command(self)
	owner.Env = append(os.Environ(), ownerVariable+"=1", "TMPDIR="+temp)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	var folders []string
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		fields := strings.Fields(lines.Text())
		folders = append(folders, fields[0])
		for _, field := range fields[1:] {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	sweep(temp)
	if len(folders) != len(starts) || len(pids) < len(starts)+4 { // PostgreSQL has at least four children
		t.Errorf("processes %v in %v", pids, folders)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()                                         // it was killed
	for deadline := time.Now().Add(within); len(pids) > 0; { // one that waits for the disk is gone when that has answered
		if state, _ := stat(pids[0]); state == "Z" || errors.Is(syscall.Kill(pids[0], 0), syscall.ESRCH) {
			pids = pids[1:]
			continue
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes %v have outlived their owner", pids)
		}
		time.Sleep(10 * time.Millisecond) // polled: they are not our children
	}
	for _, folder := range folders {
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(folder, "owner"), old, old); err != nil {
			t.Fatalf("the folder went while its owner lived: %v", err)
		}
	}
	sweep(temp)
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// A server that cannot start says why, and leaves nothing.
func TestLaunchFails(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	if err := os.Chmod(filepath.Dir(temp), 0o711); err != nil {
		t.Fatal(err)
	}
	_, err := Launch(NameRedis, "no-such-setting 1")
	if err == nil || !strings.Contains(err.Error(), "ended as it started") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if _, err := Launch("oracle"); err == nil {
		t.Error("an unknown server was started")
	}
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestMissing(t *testing.T) {
	const want = "testservers: Redis is not installed: apt-get install --no-install-recommends redis-server, " +
		"or leave its tests out: ./test --store sqlite"
	t.Setenv("PATH", t.TempDir())
	if _, err := Launch(NameRedis); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	t.Setenv(StoresVariable, "redis")
	if got := fmt.Sprint(Missing()); got != "[redis-server]" {
		t.Errorf("missing %s", got)
	}
}

// A test whose store was not selected is skipped, and says why.
func TestSelection(t *testing.T) {
	t.Setenv(StoresVariable, "sqlite,redis")
	for name, want := range map[string]bool{NameRedis: true, "sqlite": true, NamePostgres: false, NameMariaDB: false} {
		if Selected(name) != want {
			t.Errorf("%s: selected %v", name, !want)
		}
	}
	done := make(chan *recorder)
	go func() { // a skip ends its goroutine
		tb := &recorder{TB: t}
		defer func() { done <- tb }()
		Postgres(tb)
	}()
	if tb := <-done; tb.skipped != "postgres is not among the selected stores: BELLHOP_TEST_STORES=sqlite,redis" {
		t.Errorf("skipped with %q", tb.skipped)
	}
}

// Only a test's own server may be killed.
func TestSharedIsLeftAlone(t *testing.T) {
	tb := &recorder{TB: t}
	s := Redis(t)
	s.tb = tb
	s.Kill()
	if !strings.Contains(tb.failed, "shared with other tests") {
		t.Errorf("failed with %q", tb.failed)
	}
	if err := pingRedis(t.Context(), s.Address); err != nil {
		t.Error(err)
	}
}
