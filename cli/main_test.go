package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobellhop/bellhop/internal/testservers"
)

// asBellhop makes the test binary act as the command bellhop, so that real processes can be signalled and killed.
const asBellhop = "BELLHOP_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asBellhop) != "" {
		os.Exit(Main(context.Background(), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
	}
	testservers.Main(m)
}

// served is a process that serves or works.
type served struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	output *log
	exit   chan int // its exit code, -1 after a signal
}

// log gathers the lines of a process.
type log struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and made anew with each line
}

// launch starts bellhop with --json and waits until it is up.
func launch(t *testing.T, env []string, args ...string) *served {
	t.Helper()
	p := &served{t: t, cmd: exec.Command(os.Args[0], append(args, "--json")...), output: &log{more: make(chan struct{})}, exit: make(chan int, 1)}
	p.cmd.Env = append(append(os.Environ(), asBellhop+"=1", "BELLHOP_TOKEN=", "DATABASE_URL="), env...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	up := make(chan string, 1)
	reading.Go(func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			select {
			case up <- lines.Text():
			default:
			}
		}
	})
	reading.Go(func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.output.add(lines.Text())
		}
	})
	go func() {
		reading.Wait()
		_ = p.cmd.Wait() // the code tells
		p.exit <- p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // if it has not ended by itself
		reading.Wait()
	})
	select {
	case line := <-up:
		var what serveResult
		if err := json.Unmarshal([]byte(line), &what); err != nil {
			t.Fatalf("bellhop %v said %q: %v", args, line, err)
		}
		p.url = what.Listening
	case code := <-p.exit:
		t.Fatalf("bellhop %v ended with %d:\n%s", args, code, p.output)
	case <-time.After(patience):
		t.Fatalf("bellhop %v did not come up:\n%s", args, p.output)
	}
	return p
}

// patience is how long anything may take before a test gives up; no test waits that long when all is well.
const patience = 60 * time.Second

func (l *log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	close(l.more)
	l.more = make(chan struct{})
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// waitFor returns when a line with the text has come.
func (l *log) waitFor(t *testing.T, text string) {
	t.Helper()
	if !l.hears(text, patience) {
		t.Fatalf("no line has %q in it:\n%s", text, l)
	}
}

// hears reports whether a line with the text has come, or comes within d.
func (l *log) hears(text string, d time.Duration) bool {
	deadline := time.After(d)
	for {
		l.mu.Lock()
		all, more := strings.Join(l.lines, "\n"), l.more
		l.mu.Unlock()
		if strings.Contains(all, text) {
			return true
		}
		select {
		case <-more:
		case <-deadline:
			return false
		}
	}
}

func (p *served) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// ended waits for the end and returns the exit code.
func (p *served) ended() int {
	p.t.Helper()
	select {
	case code := <-p.exit:
		return code
	case <-time.After(patience):
		p.t.Fatalf("the process did not end:\n%s", p.output)
		return 0
	}
}

// newStore returns the address of a new store in a file.
func newStore(t *testing.T) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db")
}

// run runs a command in this process and returns what it printed.
func run(t *testing.T, store, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems strings.Builder
	env := func(name string) string { return map[string]string{"BELLHOP_STORE": store, "USER": "anna"}[name] }
	code = Main(t.Context(), args, env, strings.NewReader(stdin), &out, &problems)
	return code, out.String(), problems.String()
}

// must is run for commands that have to succeed.
func must(t *testing.T, store, stdin string, args ...string) string {
	t.Helper()
	code, stdout, stderr := run(t, store, stdin, args...)
	if code != exitOK {
		t.Fatalf("bellhop %v ended with %d: %s", args, code, stderr)
	}
	return stdout
}
