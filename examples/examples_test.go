package examples

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The shortest program does what README says, as README shows it.
func TestHello(t *testing.T) {
	source, err := os.ReadFile("hello/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), "\n"); n > 25 {
		t.Errorf("the shortest program has %d lines, more than 25", n)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(source)+"```") {
		t.Error("README.md does not show examples/hello/main.go as it is")
	}

	says(t, "hello", "Hello, Ada")
}

// Jobs that were committed with an order in one database are worked from another.
func TestOutbox(t *testing.T) { says(t, "outbox", "Order 1: 12.50, thank you") }

// says builds an example, and runs it in an empty folder until it says what it should.
func says(t *testing.T, name, want string) {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, name)
	if out, err := exec.Command("go", "build", "-o", binary, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary)
	cmd.Dir = dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	var lines []string
	said := false
	for s := bufio.NewScanner(stderr); !said && s.Scan(); {
		lines = append(lines, s.Text())
		said = strings.Contains(s.Text(), want)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !said {
		t.Errorf("not %q within 30 s; the program said:\n%s", want, strings.Join(lines, "\n"))
	}
}
