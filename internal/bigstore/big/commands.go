package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/bigstore"
)

// commandLines are the commands that list something.
func commandLines(id string) []string {
	lines := []string{"queues list", "processes list", "audit", "doctor", "metrics", "metrics --since 14d --queue " + bigstore.Queue, "metrics --failures", "jobs show " + id}
	for _, filter := range []string{
		"", "--state ready", "--state scheduled", "--state dead", "--state succeeded", "--queue " + bigstore.Queue, "--not-queue " + bigstore.Queue,
		"--kind " + bigstore.Kind, "--tag " + bigstore.Tag, "--text user77@example", "--arg user.id=77", "--error reason", "--state dead --error reason",
		"--since 24h", "--until 168h", "--finished-after 1h", "--state dead --queue " + bigstore.Queue, "--state ready --queue " + bigstore.Queue,
	} {
		lines = append(lines, strings.TrimSpace("jobs list "+filter))
	}
	return lines
}

// commands prints how long the program takes for each command that lists something, in the middle of so many runs, from its start to its end: the
// store has less of that time, which what "version" takes gives an idea of.
func commands(ctx context.Context, client *bellhop.Client, address, program string, times int, only string) error {
	l, err := client.List(ctx, bellhop.Query{Filter: bellhop.Filter{States: bellhop.States(bellhop.StateDead)}, Limit: 1})
	if err != nil {
		return err
	}
	if len(l.Jobs) == 0 {
		return errors.New("big: no job is dead: fill the store first")
	}
	for _, line := range append([]string{"version"}, commandLines(l.Jobs[0].ID.String())...) {
		if !strings.Contains(line, only) {
			continue
		}
		var took []time.Duration
		for range times {
			cmd := exec.CommandContext(ctx, program, append(strings.Fields(line), "--store", address)...)
			began := time.Now()
			out, err := cmd.CombinedOutput()
			took = append(took, time.Since(began))
			if exit := (*exec.ExitError)(nil); err != nil && !(line == "doctor" && errors.As(err, &exit)) { // it finds what is wrong
				return fmt.Errorf("big: bellhop %s: %w: %.300s", line, err, out)
			}
		}
		slices.Sort(took)
		fmt.Printf("%8.1f ms  bellhop %s\n", ms(took[len(took)/2]), line)
	}
	return nil
}
