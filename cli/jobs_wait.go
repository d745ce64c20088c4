package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/redact"
)

// jobsWaitCmd waits until jobs have ended. Its JSON is a page of the jobs that have ended, in that order.
type jobsWaitCmd struct {
	IDs     []string      `arg:"" name:"id" help:"The jobs' ids."`
	Timeout time.Duration `help:"Wait no longer than this; 0 means for ever." default:"0"`
}

// Help tells the exit codes.
func (*jobsWaitCmd) Help() string {
	return "It ends with 0 if all jobs succeeded, 6 if one was discarded, cancelled or is dead, 7 if one has not ended in time."
}

// Run waits.
func (c *jobsWaitCmd) Run(ctx context.Context, a *app) error {
	ids, err := parseIDs(c.IDs)
	if err != nil {
		return err
	}
	if c.Timeout < 0 {
		return usage("--timeout: %v is negative", c.Timeout)
	}
	client, err := a.open(ctx, useShared)
	if err != nil {
		return err
	}
	defer client.Close()
	w := waiting{a: a, client: client, left: ids, listing: &api.Listing{Jobs: []*api.Job{}}, said: map[string]bool{}}
	limited := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	err = w.run(ctx, limited)
	if a.json {
		if err := a.printRaw(w.listing.AppendJSON(nil)); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) && limited.Err() != nil && ctx.Err() == nil:
		return exitWith(exitTimeout, "%s not ended within %v; the first is %s", have(len(w.left)), c.Timeout, w.left[0])
	case err != nil:
		return err
	case w.failed > 0:
		return exitWith(exitNotDone, "%s not succeed: bellhop jobs show ID tells why", did(w.failed))
	}
	return nil
}

func have(n int) string {
	if n == 1 {
		return "1 job has"
	}
	return count(n, "job") + " have"
}

func did(n int) string { return count(n, "job") + " did" }

// waiting is a wait under way.
type waiting struct {
	a       *app
	client  *bellhop.Client
	left    []bellhop.ID
	jobs    []bellhop.Snapshot // those that are left, as they were at the last look
	failed  int
	listing *api.Listing
	said    map[string]bool // hints that were given
}

// The pauses between two looks at the jobs.
const (
	shortPause = 50 * time.Millisecond
	longPause  = time.Second // when nothing has happened for a while
)

// run asks for the jobs that are left, rarely if nothing happens. Until has no say in the first look: whoever waits a moment
// only learns what has ended, and what the others wait for.
func (w *waiting) run(ctx, until context.Context) error {
	bar := w.a.progress()
	defer bar.end()
	pause, looking := shortPause, ctx
	for first := true; ; first = false {
		ended, err := w.look(looking, first, bar)
		if err != nil || len(w.left) == 0 {
			return err
		}
		if ended {
			pause = shortPause
		}
		if first || pause == longPause {
			w.hint(looking, bar)
		}
		looking = until
		bar.say("waiting for %s", count(len(w.left), "job"))
		timer := time.NewTimer(pause)
		select {
		case <-until.Done():
			timer.Stop()
			return until.Err()
		case <-timer.C:
		}
		pause = min(pause*5/4, longPause)
	}
}

// hint says, once each, what the jobs that are left wait for. It is no reason to fail.
func (w *waiting) hint(ctx context.Context, bar *progress) {
	force, err := findWorkforce(ctx, w.client)
	if err != nil {
		return
	}
	bar.end()
	force.hintJobs(w.a, w.jobs, w.said)
}

// look asks once, and takes the jobs that have ended off the list.
func (w *waiting) look(ctx context.Context, first bool, bar *progress) (ended bool, err error) {
	w.jobs = w.jobs[:0]
	for bite := range slices.Chunk(slices.Clone(w.left), 1000) {
		found, err := w.client.Store().Get(ctx, bite)
		if err != nil {
			return false, fmt.Errorf("look at the jobs: %w", err)
		}
		there := map[bellhop.ID]*bellhop.Snapshot{}
		for i := range found {
			there[found[i].ID] = &found[i]
		}
		for _, id := range bite {
			j := there[id]
			if j == nil && first {
				return false, fmt.Errorf("job %s: %w", id, bellhop.ErrNotFound)
			} else if j == nil {
				return false, fmt.Errorf("job %s: %w any more: it was deleted, or pruned after its time", id, bellhop.ErrNotFound)
			} else if !j.Place.State.Final() {
				w.jobs = append(w.jobs, *j)
				continue
			}
			ended = true
			w.left = slices.DeleteFunc(w.left, func(other bellhop.ID) bool { return other == id })
			w.tell(j, bar)
		}
	}
	return ended, nil
}

func (w *waiting) tell(j *bellhop.Snapshot, bar *progress) {
	if j.Place.State != bellhop.StateSucceeded {
		w.failed++
	}
	j = redact.Snapshot(j)
	if w.a.json {
		w.listing.Jobs = append(w.listing.Jobs, api.NewJob(j))
		return
	}
	bar.end()
	line := j.ID.String() + " " + w.a.out.paint(stateColors[j.Place.State], j.Place.State.String())
	if j.Place.Reason != "" {
		line += ": " + clean(j.Place.Reason)
	}
	w.a.print("%s", line)
}
