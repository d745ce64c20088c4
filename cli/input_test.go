package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
)

func TestTenThousandJobs(t *testing.T) {
	store := newStore(t)
	lines := strings.Repeat(`{"kind":"mail.welcome","args":{"user":1}}`+"\n", 10_000)
	if out := must(t, store, lines, "enqueue", "--ndjson"); out != "10,000 jobs enqueued\n" {
		t.Errorf("it said %q", out)
	}
	bad := strings.Replace(lines, `1}}`, `NaN}}`, 1)
	bad = strings.Repeat(`{"kind":"mail.welcome"}`+"\n", 6000) + bad[:strings.Index(bad, "\n")+1]
	for _, c := range []struct {
		name  string
		args  []string
		input string
		want  string
	}{
		{"one bad line of 6,001", []string{"enqueue", "--ndjson"}, bad, "job 6000 (line 6001): "},
		{"too many", []string{"enqueue", "--ndjson"}, lines + lines[:42], "more than 10000 jobs"},
		{"too many arguments", []string{"enqueue", "mail.welcome", "--ndjson"}, strings.Repeat("{}\n", 10_001), "10001 jobs in one call are more than the limit of 10000"},
		{"one bad of many arguments", []string{"enqueue", "mail.welcome", "--ndjson"}, strings.Repeat("{}\n", 9999) + "{\x00}\n", "line 10000: job 9999: "},
		{"too large", []string{"enqueue", "mail.welcome", "-"}, `"` + strings.Repeat("x", 200_000) + `"`, "store the data and pass its id"},
		{"beyond reading", []string{"enqueue", "mail.welcome", "-"}, `"` + strings.Repeat("x", 2_000_000) + `"`, "the input has more than 1048576 bytes"},
		{"invalid UTF-8", []string{"enqueue", "mail.welcome", "-"}, "\"\xff\"", "UTF-8"},
		{"NUL", []string{"enqueue", "mail.welcome", "-"}, "\"\x00\"", "arguments: at $"},
		{"nothing", []string{"enqueue", "mail.welcome", "-"}, "", "arguments: at $"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := run(t, store, c.input, c.args...)
			if code != exitRefused || stdout != "" || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, output %q, error %q", code, stdout, stderr)
			}
		})
	}
	if out := must(t, store, "", "jobs", "delete", "--all", "--yes"); out != "10,000 jobs deleted\n" {
		t.Errorf("more or fewer jobs are there than were taken: %q", out)
	}
}

func TestUnwritableFolder(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("wants a folder in which nobody can create a file, whoever runs the test: /proc")
	}
	for _, args := range [][]string{{"jobs", "list"}, {"enqueue", "mail.welcome"}, {"serve", "--listen", "127.0.0.1:0"}, {"migrate", "up"}} {
		code, _, stderr := run(t, "sqlite:/proc/jobs.db", "", args...)
		if code != exitUnavailable || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "/proc") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
}

func TestMigratePrint(t *testing.T) {
	store := newStore(t)
	must(t, store, "", "migrate", "up")
	if sql := must(t, store, "", "migrate", "print"); !strings.Contains(strings.ToLower(sql), "create table") {
		t.Errorf("no table is created:\n%s", sql)
	}
}

// A command that waits for its input ends with its context.
func TestInterruptedInput(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	input, end := io.Pipe()
	defer end.Close()
	var stdout, stderr bytes.Buffer
	a := &app{
		env: func(string) string { return "" }, now: time.Now, in: stream{Reader: input}, out: stream{Writer: &stdout}, err: stream{Writer: &stderr},
	}
	go func() {
		_, _ = end.Write([]byte("{")) // returns when the command reads
		cancel(errInterrupted)
	}()
	code := a.run(ctx, []string{"enqueue", "mail.welcome", "-", "--store", newStore(t)})
	if code != exitInterrupted || stderr.String() != "bellhop: interrupted: what was done before stays done\n" {
		t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
	}
}

// TestFullDisk: what is wrong and what to do stands in one line, without the inner names of stores and verbs.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a small file system can be mounted by root only")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no tmpfs here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	store := "sqlite:" + filepath.Join(dir, "jobs.db")
	open, err := bellhop.Open(t.Context(), store) // keeps the files beside the database, as a server does
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 4<<10); err == nil; { // until nothing more fits
		_, err = ballast.Write(chunk)
	}
	if err := ballast.Close(); err != nil {
		t.Fatal(err)
	}
	large := `"` + strings.Repeat("x", 100_000) + `"`
	for _, args := range [][]string{{"enqueue", "mail.welcome", "-"}, {"work"}} {
		var stderr string
		code := exitOK
		for range 20 { // what was written before the disk was full may be written again
			if code, _, stderr = run(t, store, large, args...); code != exitOK {
				break
			}
		}
		clear := strings.Contains(stderr, "the store is unavailable: the disk with "+dir+"/jobs.db is full: free some space")
		if lines := strings.Count(stderr, "bellhop: "); code != exitUnavailable || !clear || lines != 1 || strings.Contains(stderr, "sqlite store: ") {
			t.Errorf("%v: exit code %d, error %q", args, code, stderr)
		}
	}
}
