// Command clausetable runs the suite of the store contract on all stores and
// prints which clause holds on which: a row for each numbered clause, a column
// for each store, and in each field how many tests proved the clause there.
//
//	go run ./internal/clausetable                      every store
//	go run ./internal/clausetable ./store/redis        these packages only
//
// A clause's tests announce themselves: the suite in store/storetest gives each
// of its tests the attribute "clauses", which "go test -json" passes on. The
// table has nothing but what a test that ran has said. The exit code is 1 if a
// clause failed or was proved by no test on one of the stores.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "clausetable:", err)
	}
	if !ok {
		stop()
		os.Exit(1)
	}
}

// run runs the suite of the packages and prints the table.
func run(ctx context.Context, packages []string, out, progress io.Writer) (ok bool, err error) {
	if len(packages) == 0 {
		packages = []string{"./store/..."}
	}
	args := append([]string{"test", "-json", "-count=1", "-timeout=30m", "-run", "^TestStore$"}, packages...)
	fmt.Fprintln(progress, "go", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = progress
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	t := newTable()
	readErr := t.read(pipe, progress)
	waitErr := cmd.Wait()
	if readErr != nil {
		return false, readErr
	}
	if len(t.stores) == 0 {
		return false, fmt.Errorf("no test of the suite ran: %w", waitErr)
	}
	t.print(out)
	return waitErr == nil && t.complete(), nil
}

// event is a line of "go test -json".
type event struct {
	Action, Package, Test, Key, Value, Output string
	Elapsed                                   float64
}

// read takes in the events of a run, and tells of each store that is through.
func (t *table) read(r io.Reader, progress io.Writer) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // a build's message, which stands on the error output as well
		}
		store := path.Base(e.Package)
		switch {
		case e.Action == "attr" && e.Key == "clauses":
			t.announce(store, e.Test, strings.Fields(e.Value))
		case e.Action == "pass", e.Action == "fail", e.Action == "skip":
			t.end(store, e.Test, e.Action)
			if e.Test == "" && t.stores[store] {
				fmt.Fprintf(progress, "%-5s %s (%.0f s)\n", e.Action, store, e.Elapsed)
			}
		}
	}
	return lines.Err()
}
