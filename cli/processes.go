package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/control"
)

// processesCmd holds what is done to worker processes.
type processesCmd struct {
	List    processesListCmd    `cmd:"" help:"List the workers that are alive, and those that died."`
	Drain   processesDrainCmd   `cmd:"" help:"Have a worker take no more jobs; what runs goes on, and the process stays."`
	Undrain processesUndrainCmd `cmd:"" help:"Have it take jobs again."`
}

// processesListCmd lists workers.
type processesListCmd struct {
	UTC bool `name:"utc" help:"Show exact times."`
}

// processesResult is the JSON of processes list.
type processesResult struct {
	Processes []control.Process `json:"processes"`
	// Gone are the newest of those that died with jobs within the last seven days.
	Gone []control.Gone `json:"gone"`
}

// Run lists the workers.
func (c *processesListCmd) Run(ctx context.Context, a *app) error {
	client, now, err := a.openNow(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	alive, err := client.Processes(ctx)
	if err != nil {
		return err
	}
	state, err := control.Read(ctx, client.Store())
	if err != nil {
		return err
	}
	result := processesResult{Processes: make([]control.Process, len(alive)), Gone: []control.Gone{}}
	for i, p := range alive {
		result.Processes[i] = state.Process(p)
	}
	if gone, _, err := control.ListGone(ctx, client.Store(), "", 20); err != nil {
		return err
	} else if len(gone) > 0 {
		result.Gone = gone
	}
	if a.json {
		return a.printJSON(result)
	}
	result.show(a, clockwork{now, c.UTC})
	return nil
}

func (r *processesResult) show(a *app, clock clockwork) {
	if len(r.Processes) == 0 {
		a.note("There is no living process.")
	} else {
		t := table{columns: []column{
			{title: "ID"},
			{title: "NAME", least: 8},
			{title: "STARTED"},
			{title: "BEAT", drop: 2},
			{title: "RUNNING", right: true},
			{title: "SLOTS", right: true},
			{title: "QUEUES", least: 8, drop: 1},
			{title: "NOTE", drop: 3},
		}}
		for _, p := range r.Processes {
			note := cell{}
			if p.Drained {
				note = cell{strings.TrimSuffix("drained by "+p.DrainedBy, " by "), yellow}
			}
			t.add(cell{text: p.ID.String()}, cell{text: p.Name}, cell{text: clock.at(p.StartedAt)}, cell{text: clock.at(p.BeatAt)},
				cell{text: number(p.Running)}, cell{text: number(p.Slots)}, cell{text: strings.Join(p.Queues, " ")}, note)
		}
		t.print(a.out)
	}
	for _, g := range r.Gone {
		a.note("%s died: %s taken back %s, %s of them dead.", who(&g), count(g.Retried+g.Dead, "job"), clock.at(g.SweptAt), number(g.Dead))
	}
}

func who(g *control.Gone) string {
	if g.Name != "" {
		return g.Name
	}
	return g.Process.String()
}

// processesDrainCmd drains a worker.
type processesDrainCmd struct {
	ID string `arg:"" name:"id" help:"The process's id, as processes list shows it."`
}

// Run drains the worker.
func (c *processesDrainCmd) Run(ctx context.Context, a *app) error {
	return changeProcess(ctx, a, c.ID, "drain", "takes no more jobs, within half a minute; it stays until it is shut down",
		func(ctx context.Context, s bellhop.Store, id bellhop.ID) error {
			return control.Drain(ctx, s, id, a.who())
		})
}

// processesUndrainCmd takes a drain back.
type processesUndrainCmd struct {
	ID string `arg:"" name:"id" help:"The process's id."`
}

// Run takes the drain back.
func (c *processesUndrainCmd) Run(ctx context.Context, a *app) error {
	return changeProcess(ctx, a, c.ID, "undrain", "takes jobs again, within half a minute", control.Undrain)
}

// drainResult is the JSON of processes drain and undrain.
type drainResult struct {
	Process bellhop.ID `json:"process"`
	Drained bool       `json:"drained"`
}

func changeProcess(ctx context.Context, a *app, text, action, done string, change func(context.Context, bellhop.Store, bellhop.ID) error) error {
	id, err := bellhop.ParseID(text)
	if err != nil {
		return refused("%w", err)
	}
	client, err := a.open(ctx, useShared)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := change(ctx, client.Store(), id); err != nil {
		return err
	}
	a.audited(ctx, client, audit.Entry{Action: action, Target: id.String()})
	if a.json {
		return a.printJSON(drainResult{id, action == "drain"})
	}
	a.print("%s %s", id, done)
	return nil
}

// queuesConcurrencyCmd sets the concurrency of a queue.
type queuesConcurrencyCmd struct {
	Queue string `arg:"" name:"queue" help:"The queue's name."`
	N     int    `arg:"" name:"n" help:"How many of its jobs run at once in each process; 0 for what each process has set."`
}

// concurrencyResult is the JSON of queues concurrency.
type concurrencyResult struct {
	Queue       string `json:"queue"`
	Concurrency int    `json:"concurrency"`
}

// Run sets the concurrency.
func (c *queuesConcurrencyCmd) Run(ctx context.Context, a *app) error {
	client, err := a.open(ctx, useShared)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := control.SetConcurrency(ctx, client.Store(), c.Queue, c.N, a.who()); err != nil {
		return err
	}
	a.audited(ctx, client, audit.Entry{Action: "concurrency", Queue: c.Queue, Reason: "to " + strconv.Itoa(c.N)})
	if a.json {
		return a.printJSON(concurrencyResult{c.Queue, c.N})
	}
	if c.N == 0 {
		a.print("%s runs as each process has set, within half a minute", c.Queue)
		return nil
	}
	a.print("%s runs %s jobs at once in each process, within half a minute", c.Queue, number(c.N))
	return nil
}
