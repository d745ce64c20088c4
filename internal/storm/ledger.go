//go:build unix

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// What a line of the ledger tells.
const (
	lineStart = 's' // a handler was started
	lineDone  = 'd' // it did its work, and returns nil
	lineFail  = 'f' // it returns an error, as it is meant to
	lineCut   = 'c' // it returns because its context ended
	lineStale = 'x' // the worker was told that its claim is no longer the job's
)

// ledger is the outside world that counts effects: a file to which all
// processes append. Each line is one write, so no kill can tear it.
type ledger struct{ file *os.File }

func openLedger(path string) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &ledger{file}, nil
}

// add appends one line. A worker whose ledger cannot be written is of no use to
// the storm, and ends.
func (l *ledger) add(what byte, id bellhop.ID, claim int64, attempt int) {
	if _, err := l.file.WriteString(ledgerLine(what, id, claim, attempt, os.Getpid(), time.Now())); err != nil {
		fmt.Fprintln(os.Stderr, "storm: the ledger cannot be written:", err)
		os.Exit(3)
	}
}

func ledgerLine(what byte, id bellhop.ID, claim int64, attempt, pid int, at time.Time) string {
	return fmt.Sprintf("%c %s %d %d %d %d\n", what, id, claim, attempt, pid, at.UnixNano())
}

// run is what the ledger tells about one run of a job.
type run struct {
	claim   int64
	attempt int
	pid     int
	start   time.Time
	end     time.Time // zero if it never came to an end
	how     byte      // lineDone, lineFail or lineCut; 0 if it never came to an end
	stale   bool
}

// readLedger returns the runs of each job in the order of their claims.
func readLedger(path string) (map[bellhop.ID][]*run, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	runs := map[bellhop.ID][]*run{}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		var what byte
		var text string
		var claim, nano int64
		var attempt, pid int
		if _, err := fmt.Sscanf(lines.Text(), "%c %s %d %d %d %d", &what, &text, &claim, &attempt, &pid, &nano); err != nil {
			return nil, fmt.Errorf("line %d of the ledger is torn: %q: %w", n, lines.Text(), err)
		}
		id, err := bellhop.ParseID(text)
		if err != nil {
			return nil, fmt.Errorf("line %d of the ledger: %w", n, err)
		}
		at := time.Unix(0, nano)
		i := slices.IndexFunc(runs[id], func(r *run) bool { return r.claim == claim })
		switch {
		case what == lineStart && i >= 0:
			return nil, fmt.Errorf("job %s was started twice under claim %d", id, claim)
		case what == lineStart:
			runs[id] = append(runs[id], &run{claim: claim, attempt: attempt, pid: pid, start: at})
		case what == lineStale && i >= 0:
			runs[id][i].stale = true
		case what == lineStale: // it had not been started
		case i < 0:
			return nil, fmt.Errorf("job %s ended under claim %d without a start", id, claim)
		default:
			runs[id][i].how, runs[id][i].end = what, at
		}
	}
	for _, list := range runs {
		slices.SortFunc(list, func(a, b *run) int { return cmp.Compare(a.claim, b.claim) })
	}
	return runs, lines.Err()
}
