package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
)

// workforce is what the living processes work.
type workforce struct {
	processes []bellhop.ProcessStatus
	kinds     map[string]bool
	slots     map[string]int // by queue, over all processes that work it
	names     map[bellhop.ID]string
}

func findWorkforce(ctx context.Context, c *bellhop.Client) (*workforce, error) {
	processes, err := c.Processes(ctx)
	if err != nil {
		return nil, err
	}
	w := &workforce{processes: processes, kinds: map[string]bool{}, slots: map[string]int{}, names: map[bellhop.ID]string{}}
	for _, p := range processes {
		w.names[p.ID] = p.Name
		for _, kind := range p.Kinds {
			w.kinds[kind] = true
		}
		for _, queue := range p.Queues {
			w.slots[queue] += p.Slots
		}
	}
	return w, nil
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
	_, works := w.slots[j.Queue]
	switch {
	case !j.Place.State.Waiting():
		return ""
	case len(w.processes) == 0:
		return "no living process"
	case !w.kinds[j.Kind]:
		return fmt.Sprintf("no living process works the kind %q", j.Kind)
	case !works:
		return fmt.Sprintf("no living process works the queue %q", j.Queue)
	}
	return ""
}

// hints tells in a few lines what waiting jobs lack.
func (w *workforce) hints(jobs []bellhop.Snapshot) []string {
	lacks := map[string]int{}
	for i := range jobs {
		if what := w.missing(&jobs[i]); what != "" {
			lacks[what]++
		}
	}
	var hints []string
	for _, what := range slices.Sorted(maps.Keys(lacks)) {
		verb := "wait"
		if lacks[what] == 1 {
			verb = "waits"
		}
		hint := fmt.Sprintf("%s here %s, and %s", count(lacks[what], "job"), verb, strings.Replace(what, "no living process", "there is no living process", 1))
		hints = append(hints, strings.Replace(hint, "process works", "process that works", 1))
	}
	if len(hints) > 5 {
		hints = append(hints[:5], "more of these: bellhop doctor")
	}
	return hints
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
