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

	dir := t.TempDir()
	binary := filepath.Join(dir, "hello")
	if out, err := exec.Command("go", "build", "-o", binary, "./hello").CombinedOutput(); err != nil {
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
	greeted := false
	for s := bufio.NewScanner(stderr); !greeted && s.Scan(); {
		lines = append(lines, s.Text())
		greeted = strings.Contains(s.Text(), "Hello, Ada")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !greeted {
		t.Errorf("no greeting within 30 s; the program said:\n%s", strings.Join(lines, "\n"))
	}
}
