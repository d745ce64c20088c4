package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

// workforce is who works what, with what people want to read of it. Why a job waits is for the API to judge.
type workforce struct {
	*api.Workforce
	slots map[string]int // by queue, over all processes that work it
	names map[bellhop.ID]string
}

func findWorkforce(ctx context.Context, c *bellhop.Client) (*workforce, error) {
	found, err := api.FindWorkforce(ctx, c)
	if err != nil {
		return nil, err
	}
	return newWorkforce(found), nil
}

// findQueues returns what queues have to do and who works them: it counts once for both.
func findQueues(ctx context.Context, c *bellhop.Client) ([]bellhop.QueueStats, *workforce, error) {
	processes, err := c.Processes(ctx)
	if err != nil {
		return nil, nil, err
	}
	stats, err := c.Queues(ctx)
	if err != nil {
		return nil, nil, err
	}
	return stats, newWorkforce(api.NewWorkforce(processes, stats)), nil
}

func newWorkforce(found *api.Workforce) *workforce {
	w := &workforce{Workforce: found, slots: map[string]int{}, names: map[bellhop.ID]string{}}
	for _, p := range found.Processes {
		w.names[p.ID] = p.Name
		for _, queue := range p.Queues {
			w.slots[queue] += p.Slots
		}
	}
	return w
}

// process names a process for people.
func (w *workforce) process(id bellhop.ID) string {
	if name := w.names[id]; name != "" {
		return name
	}
	if id.IsZero() {
		return ""
	}
	return "…" + id.String()[28:]
}

// missing says what a waiting job lacks to be run; empty if nothing.
func (w *workforce) missing(j *bellhop.Snapshot) string {
	return w.Hint(j.Place.State, j.Kind, j.Queue)
}

// hintJob says what one job lacks, if anything.
func (w *workforce) hintJob(a *app, j *bellhop.Snapshot) {
	if what := w.missing(j); what != "" {
		a.note("Hint: the job waits: %s.", what)
	}
}

// hintJobs says in a few lines what waiting jobs lack. What stands in said is passed over; what is said is added to it.
func (w *workforce) hintJobs(a *app, jobs []bellhop.Snapshot, said map[string]bool) {
	const most = 5
	lacks := map[string]int{}
	for i := range jobs {
		if what := w.missing(&jobs[i]); what != "" && !said[what] {
			lacks[what]++
		}
	}
	for n, what := range slices.Sorted(maps.Keys(lacks)) {
		if n == most {
			a.note("Hint: more of these: bellhop doctor.")
			return
		}
		said[what] = true
		a.note("Hint: %s: %s.", waits(lacks[what], count(lacks[what], "job")), what)
	}
}

// waits says that jobs, n of them, wait.
func waits(n int, jobs string) string {
	if n == 1 {
		return jobs + " waits"
	}
	return jobs + " wait"
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
