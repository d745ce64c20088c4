//go:build unix

package main

import (
	"bufio"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/internal/testservers"
)

// selfVariable makes this program the command.
const selfVariable = "BELLHOP_WITH"

func TestMain(m *testing.M) {
	if os.Getenv(selfVariable) != "" {
		main()
	}
	testservers.Main(m)
}

// startWith starts the command with Redis as its server, and returns the first word that its command prints.
func startWith(t *testing.T, script string) (cmd *exec.Cmd, word string) {
	t.Helper()
	if !testservers.Selected(testservers.NameRedis) {
		t.Skip("Redis is not selected")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	if err := os.Chmod(filepath.Dir(temp), 0o711); err != nil { // the server's user passes through
		t.Fatal(err)
	}
	cmd = exec.Command(self, "--", "/bin/sh", "-c", "echo $BELLHOP_TEST_REDIS; "+script)
	cmd.Env = append(os.Environ(), selfVariable+"=1", "TMPDIR="+temp, testservers.StoresVariable+"=redis",
		"BELLHOP_TEST_REDIS=", "BELLHOP_TEST_REDIS_CLUSTER=redis+cluster://127.0.0.1:1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

// gone waits until nobody listens on the address. A server that is killed while it waits for the disk is gone when that has answered.
func gone(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" {
		t.Fatalf("address %q: %v", address, err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			return
		}
		_ = conn.Close()
		time.Sleep(10 * time.Millisecond) // polled: the server is not our child
	}
	t.Errorf("%s still answers", address)
}

func TestExitCode(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 128 + 9} {
		cmd, address := startWith(t, script)
		_ = cmd.Wait() // the exit code says it
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%q: exit code %d, want %d", script, got, want)
		}
		gone(t, address)
	}
}

// The command hears of a signal and decides how to end.
func TestSignal(t *testing.T) {
	cmd, address := startWith(t, `trap 'exit 9' TERM; while :; do sleep 0.05; done`)
	// The trap may be set a moment after the first line was printed; until then the signal is the end as well, but another one.
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != 9 && got != 128+15 {
		t.Errorf("exit code %d", got)
	}
	gone(t, address)
}

func TestKilled(t *testing.T) {
	cmd, address := startWith(t, `read -r until`)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	gone(t, address)
}

func TestNoSuchCommand(t *testing.T) {
	t.Setenv(testservers.StoresVariable, "sqlite")
	if code, err := with([]string{"/no/such/command"}); code != 127 || err == nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}
