//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/gobellhop/bellhop"
)

// heard is what the ledger tells.
type heard struct {
	tried, committed, rolledBack map[bellhop.ID]bool
	settled, beaten              int
}

func readLedger(path string) (*heard, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	h := &heard{tried: map[bellhop.ID]bool{}, committed: map[bellhop.ID]bool{}, rolledBack: map[bellhop.ID]bool{}}
	sets := map[byte]map[bellhop.ID]bool{lineTried: h.tried, lineCommitted: h.committed, lineRolledBack: h.rolledBack}
	counts := map[byte]*int{lineSettled: &h.settled, lineBeaten: &h.beaten}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text()
		if len(text) < 3 {
			return nil, fmt.Errorf("line %d of the ledger is torn: %q", n, text)
		}
		if count := counts[text[0]]; count != nil {
			more, err := strconv.Atoi(text[2:])
			if err != nil {
				return nil, fmt.Errorf("line %d of the ledger: %w", n, err)
			}
			*count += more
			continue
		}
		id, err := bellhop.ParseID(text[2:])
		if set := sets[text[0]]; err != nil || set == nil {
			return nil, fmt.Errorf("line %d of the ledger is torn: %q", n, text)
		}
		sets[text[0]][id] = true
	}
	return h, lines.Err()
}

// orders returns the truth: the orders that are there.
func (w *weather) orders(ctx context.Context) (map[bellhop.ID]bool, error) {
	rows, err := w.db.QueryContext(ctx, "select id from storm_orders")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	there := map[bellhop.ID]bool{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		id, err := bellhop.ParseID(text)
		if err != nil {
			return nil, err
		}
		there[id] = true
	}
	return there, rows.Err()
}

// compare returns what is wrong: how the runs differ from the orders, and the orders from what producers have heard.
func compare(there map[bellhop.ID]bool, runs map[bellhop.ID]int, h *heard) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for id := range there {
		if n := runs[id]; n != 1 {
			wrong("the order %s was committed, and its job ran %d times", id, n)
		}
	}
	for id, n := range runs {
		if !there[id] {
			wrong("job %s ran %d times, and its order was not committed", id, n)
		}
	}
	for id := range h.committed {
		if !there[id] {
			wrong("the commit of the order %s was confirmed, and it is not there", id)
		}
	}
	for id := range h.rolledBack {
		if there[id] {
			wrong("the order %s was rolled back, and it is there", id)
		}
	}
	return problems
}

// judge compares, and tells what it has found.
func (w *weather) judge(ctx context.Context, blew time.Duration) error {
	h, err := readLedger(w.ledger)
	if err != nil {
		return err
	}
	there, err := w.orders(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	problems := compare(there, w.runs, h)
	status, err := w.box.Status(ctx, w.db)
	if err != nil {
		return err
	}
	if status.SetAside > 0 {
		problems = append(problems, fmt.Sprintf("%d jobs were set aside", status.SetAside))
	}
	if len(there) == 0 {
		problems = append(problems, "no order was committed: the storm has proved nothing")
	}
	unsure, stood := 0, 0
	for id := range h.tried {
		if !h.committed[id] {
			unsure++
			if there[id] {
				stood++
			}
		}
	}
	fmt.Fprintf(w.out, "outbox storm: %d kills and %d freezes in %v, %d processes\n", w.kills, w.freezes, blew.Round(time.Second), w.started)
	fmt.Fprintf(w.out, "  %-28s %d (%d rolled back)\n", "jobs committed", len(there), len(h.rolledBack))
	fmt.Fprintf(w.out, "  %-28s %d jobs, %d of them were committed after all\n", "killed within the commit", unsure, stood)
	fmt.Fprintf(w.out, "  %-28s %d times a job that another relay had moved, and that was not moved again\n", "left in the outbox", h.settled)
	fmt.Fprintf(w.out, "  %-28s %d batches\n", "one relay beaten by another", h.beaten)
	for i, text := range problems {
		if i == 20 {
			fmt.Fprintf(w.out, "  WRONG … and %d more\n", len(problems)-i)
			break
		}
		fmt.Fprintf(w.out, "  WRONG %s\n", text)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d things are wrong, the first: %s", len(problems), problems[0])
	}
	fmt.Fprintf(w.out, "outbox storm: nothing lost, nothing doubled: each of %d committed jobs ran once, and no other ran\n", len(there))
	return nil
}
