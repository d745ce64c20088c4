package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/control"
)

// queuesCmd holds what is done to queues.
type queuesCmd struct {
	List   queuesListCmd   `cmd:"" help:"List queues: what they have to do, and who does it."`
	Pause  queuesPauseCmd  `cmd:"" help:"Stop the start of jobs, everywhere; running ones go on."`
	Resume queuesResumeCmd `cmd:"" help:"End a pause."`

	Concurrency queuesConcurrencyCmd `cmd:"" help:"Set how many jobs of a queue run at once in each process."`
}

// queuesListCmd lists queues.
type queuesListCmd struct {
	UTC bool `name:"utc" help:"Show exact times."`
}

// queuesResult is the JSON of queues list.
type queuesResult struct {
	Queues []queueResult `json:"queues"`
	// Limit is how far counts go at the most. Each queue's own limit says how far they went.
	Limit int `json:"limit"`

	idle bool // there is no living process
}

// queueResult is one queue in it.
type queueResult struct {
	bellhop.QueueStats
	// Concurrency is how many of its jobs run at once in each process, if somebody has set that.
	Concurrency int `json:"concurrency,omitempty"`
	// Slots is how many jobs the living processes that work the queue run at once.
	Slots int `json:"slots"`
	// Hint says what is wrong: jobs wait, and no living process works the queue.
	Hint string `json:"hint,omitempty"`
}

// Run lists the queues.
func (c *queuesListCmd) Run(ctx context.Context, a *app) error {
	client, now, err := a.openNow(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	stats, force, err := findQueues(ctx, client)
	if err != nil {
		return err
	}
	told, err := control.Read(ctx, client.Store())
	if err != nil {
		return err
	}
	result := queuesResult{Queues: withWorkers(stats, force), Limit: bellhop.QueuesCountedTo, idle: len(force.Processes) == 0}
	for i := range result.Queues {
		q := &result.Queues[i]
		q.Concurrency = told.Concurrency(q.Queue)
	}
	if a.json {
		return a.printJSON(result)
	}
	if len(result.Queues) == 0 {
		a.note("There are no jobs in %s, and no living process.", bellhop.MaskAddress(a.store))
		return nil
	}
	result.show(a, clockwork{now, c.UTC})
	return nil
}

// withWorkers adds the living processes to the statistics, and the queues that are worked but have no jobs.
func withWorkers(stats []bellhop.QueueStats, force *workforce) []queueResult {
	queues := make([]queueResult, 0, len(stats))
	known := map[string]bool{}
	for _, s := range stats {
		known[s.Queue] = true
		queues = append(queues, queueResult{QueueStats: s, Slots: force.slots[s.Queue], Hint: force.QueueHint(&s)})
	}
	for name, slots := range force.slots {
		if !known[name] {
			queues = append(queues, queueResult{QueueStats: bellhop.QueueStats{Queue: name}, Slots: slots})
		}
	}
	slices.SortFunc(queues, func(a, b queueResult) int { return strings.Compare(a.Queue, b.Queue) })
	return queues
}

func (r *queuesResult) show(a *app, clock clockwork) {
	t := table{columns: []column{
		{title: "QUEUE", least: 10},
		{title: "READY", right: true},
		{title: "RUNNING", right: true},
		{title: "SCHEDULED", right: true},
		{title: "BLOCKED", right: true, drop: 3},
		{title: "DEAD", right: true},
		{title: "SLOTS", right: true, drop: 2},
		{title: "OLDEST READY", drop: 4},
		{title: "NEXT DUE", drop: 5},
		{title: "NOTE", least: 6, drop: 1},
	}}
	capped := func(n int, more bool, color string) cell {
		switch {
		case n == 0:
			return cell{"0", dim}
		case more:
			return cell{number(n) + "+", color}
		}
		return cell{number(n), color}
	}
	var unworked []string // the queues that nobody works
	for _, q := range r.Queues {
		var notes []string
		color := plain
		if q.Paused {
			notes, color = append(notes, "paused"), yellow
		}
		if q.Concurrency > 0 {
			notes = append(notes, number(q.Concurrency)+" at once in each process")
		}
		t.add(cell{text: q.Queue}, capped(q.Ready, q.More(q.Ready), cyan), capped(q.Running, q.More(q.Running), bold),
			capped(q.Scheduled, q.More(q.Scheduled), blue), capped(q.Blocked, q.More(q.Blocked), yellow), capped(q.Dead, q.More(q.Dead), red),
			capped(q.Slots, false, plain), cell{text: clock.at(q.OldestReady)}, cell{text: clock.at(q.NextDue)}, cell{strings.Join(notes, ", "), color})
		if q.Hint != "" && !q.Paused {
			unworked = append(unworked, q.Queue)
		}
	}
	t.print(a.out)
	switch {
	case len(unworked) > 0 && r.idle:
		a.note("Hint: jobs wait, and there is no living process.")
	case len(unworked) > 0:
		a.note("Hint: jobs wait, and no living process works %s.", fewOf(unworked))
	}
}

// fewNames is how many names are read one by one; of more, some are shown.
const fewNames = 8

// fewOf lists the names, or some of them with how many there are beside.
func fewOf(names []string) string {
	if len(names) <= fewNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(names[:fewNames], ", "), number(len(names)-fewNames))
}

// queuesPauseCmd pauses queues.
type queuesPauseCmd struct {
	Queues []string `arg:"" name:"queue" help:"The queues' names; a queue need not have jobs."`
}

// Run pauses the queues.
func (c *queuesPauseCmd) Run(ctx context.Context, a *app) error { return pause(ctx, a, c.Queues, true) }

// queuesResumeCmd resumes queues.
type queuesResumeCmd struct {
	Queues []string `arg:"" name:"queue" help:"The queues' names."`
}

// Run resumes the queues.
func (c *queuesResumeCmd) Run(ctx context.Context, a *app) error {
	return pause(ctx, a, c.Queues, false)
}

// pauseResult is one element of the JSON of queues pause and resume, an array.
type pauseResult struct {
	Queue  string `json:"queue"`
	Paused bool   `json:"paused"`
}

func pause(ctx context.Context, a *app, queues []string, paused bool) error {
	for _, queue := range queues { // all or none
		if err := bellhop.CheckName("queue", queue); err != nil {
			return refused("%w", err)
		}
	}
	client, err := a.open(ctx, useShared)
	if err != nil {
		return err
	}
	defer client.Close()
	change, action, word := client.Resume, "resume", "resumed"
	if paused {
		change, action, word = client.Pause, "pause", "paused"
	}
	var results []pauseResult
	for _, queue := range queues {
		if err := change(ctx, queue); err != nil {
			return err
		}
		a.audited(ctx, client, audit.Entry{Action: action, Queue: queue})
		results = append(results, pauseResult{queue, paused})
		if !a.json {
			a.print("%s %s", queue, word)
		}
	}
	if a.json {
		return a.printJSON(results)
	}
	return nil
}
