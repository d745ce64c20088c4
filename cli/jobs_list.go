package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/redact"
)

// jobsListCmd lists jobs. Its JSON is a page of jobs as GET /v1/jobs gives it.
type jobsListCmd struct {
	filterFlags
	Limit int    `help:"How many jobs at most." default:"50"`
	After string `help:"Go on behind an earlier list: what that one said." placeholder:"MARK"`
	UTC   bool   `name:"utc" help:"Show exact times."`
	Args  bool   `help:"With --json: the arguments too."`

	revealFlag
}

// Run lists jobs.
func (c *jobsListCmd) Run(ctx context.Context, a *app) error {
	if c.Limit < 1 {
		return usage("--limit: %d is out of range: want 1 or more", c.Limit)
	}
	client, now, err := a.openNow(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	filter, err := c.filter(now)
	if err != nil {
		return err
	}
	list, err := c.collect(ctx, client, filter)
	if err != nil {
		return err
	}
	if c.Reveal {
		a.audited(ctx, client, audit.Entry{Action: "reveal", Filter: audit.FilterText(&filter), Count: len(list.Jobs)})
	} else {
		for i := range list.Jobs {
			list.Jobs[i] = *redact.Snapshot(&list.Jobs[i])
		}
	}
	force, err := findWorkforce(ctx, client)
	if err != nil {
		return err
	}
	if a.json {
		return a.printRaw(wireListing(list, force).AppendJSON(nil))
	}
	c.show(a, list, force, clockwork{now, c.UTC})
	return nil
}

// collect reads pages until the limit is reached, or a search has ended at its bound.
func (c *jobsListCmd) collect(ctx context.Context, client *bellhop.Client, filter bellhop.Filter) (*bellhop.Listing, error) {
	all := &bellhop.Listing{Next: c.After}
	for {
		want := min(c.Limit-len(all.Jobs), 1000)
		page, err := client.List(ctx, bellhop.Query{
			Filter: filter, Limit: want, After: all.Next, WithoutArgs: !c.Args,
		})
		if err != nil {
			return nil, err
		}
		all.Jobs, all.Next, all.Examined = append(all.Jobs, page.Jobs...), page.Next, all.Examined+page.Examined
		if page.Next == "" || len(all.Jobs) >= c.Limit || len(page.Jobs) < want {
			return all, nil
		}
	}
}

func wireListing(list *bellhop.Listing, force *workforce) *api.Listing {
	out := &api.Listing{Jobs: make([]*api.Job, len(list.Jobs)), Next: list.Next, Examined: list.Examined}
	for i := range list.Jobs {
		out.Jobs[i] = wireJob(&list.Jobs[i], force)
	}
	return out
}

func wireJob(s *bellhop.Snapshot, force *workforce) *api.Job {
	j := api.NewJob(s)
	j.Hint = force.missing(s)
	return j
}

func (c *jobsListCmd) show(a *app, list *bellhop.Listing, force *workforce, clock clockwork) {
	if len(list.Jobs) == 0 {
		switch {
		case list.Next != "":
			a.note("No job matches among the %s that were looked at: --after %s goes on from here.", number(list.Examined), list.Next)
		case c.empty() && c.After == "":
			a.note("There are no jobs in %s.", bellhop.MaskAddress(a.store))
		default:
			a.note("No job matches.")
		}
		return
	}
	t := table{columns: []column{
		{title: "ID"},
		{title: "STATE"},
		{title: "KIND", least: 12},
		{title: "QUEUE", least: 7, drop: 3},
		{title: "WHEN"},
		{title: "FAILED", right: true, drop: 1},
		{title: "NOTE", least: 14, drop: 2},
	}}
	for i := range list.Jobs {
		j := &list.Jobs[i]
		t.add(cell{text: j.ID.String(), color: dim}, stateCell(j.Place.State), cell{text: j.Kind}, cell{text: j.Queue},
			cell{text: clock.at(when(j))}, cell{text: failures(j)}, cell{text: remark(j), color: dim})
	}
	t.print(a.out)
	force.hintJobs(a, list.Jobs, map[string]bool{})
	switch {
	case list.Next != "" && len(list.Jobs) < c.Limit:
		a.note("These are those among the %s that were looked at: --after %s goes on from here.", number(list.Examined), list.Next)
	case list.Next != "":
		a.note("There are more: --limit shows more at once, --after %s goes on from here.", list.Next)
	}
}

// when returns the moment that matters in the job's state: when it is due, or since when it is there.
func when(j *bellhop.Snapshot) time.Time {
	switch p := &j.Place; {
	case p.State == bellhop.StateRunning:
		return p.ClaimedAt
	case p.State.Final():
		return p.FinishedAt
	case p.State == bellhop.StateBlocked:
		return j.EnqueuedAt
	default:
		return p.Due
	}
}

// failures tells how much of a job's patience is used up; nothing if it has not failed.
func failures(j *bellhop.Snapshot) string {
	if j.Place.Failures == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", j.Place.Failures, j.Attempts)
}

// remark says what there is to say about a job beside its state.
func remark(j *bellhop.Snapshot) string {
	var parts []string
	if j.Place.CancelRequested {
		parts = append(parts, "asked to stop")
	}
	if j.Place.State == bellhop.StateRunning && len(j.Place.Progress) > 0 {
		parts = append(parts, progressText(j.Place.Progress))
	}
	if j.Place.Suspect {
		parts = append(parts, "suspect")
	}
	if j.Place.Reason != "" { // of "cancelled by anna" the first word stands there already
		parts = append(parts, strings.TrimPrefix(j.Place.Reason, j.Place.State.String()+" "))
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

func progressText(raw []byte) string {
	var p bellhop.Progress
	if json.Unmarshal(raw, &p) != nil {
		return ""
	}
	text := number(int(p.Done))
	if p.Total > 0 {
		text = fmt.Sprintf("%s of %s (%d %%)", text, number(int(p.Total)), int(float64(p.Done)/float64(p.Total)*100))
	}
	if p.Note != "" {
		text += " " + p.Note
	}
	return text
}

var stateColors = map[bellhop.State]string{
	bellhop.StateScheduled: blue, bellhop.StateBlocked: yellow, bellhop.StateReady: cyan, bellhop.StateRunning: bold,
	bellhop.StateSucceeded: green, bellhop.StateDiscarded: dim, bellhop.StateCancelled: dim, bellhop.StateDead: red,
}

func stateCell(s bellhop.State) cell { return cell{s.String(), stateColors[s]} }
