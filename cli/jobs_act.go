package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/audit"
)

// actFlags select the jobs of an action, by id or by filter.
type actFlags struct {
	IDs []string `arg:"" optional:"" name:"id" help:"The jobs' ids."`
	filterFlags
	All    bool   `help:"All jobs for which the action means something."`
	Yes    bool   `short:"y" help:"Do not ask."`
	Reason string `help:"Why: kept with the jobs." placeholder:"TEXT"`
}

type (
	// jobsRetryCmd runs finished jobs again. By filter it means dead jobs, unless --state says otherwise.
	jobsRetryCmd struct{ actFlags }
	// jobsRunCmd makes scheduled jobs ready.
	jobsRunCmd struct{ actFlags }
	// jobsCancelCmd stops jobs.
	jobsCancelCmd struct{ actFlags }
	// jobsDiscardCmd gives jobs up.
	jobsDiscardCmd struct{ actFlags }
	// jobsDeleteCmd removes jobs.
	jobsDeleteCmd struct{ actFlags }
)

// Help tells what a filter means here.
func (*jobsRetryCmd) Help() string {
	return "By filter, and with --all, it means dead jobs, unless --state says otherwise: jobs that succeeded would do their work twice."
}

// Run retries the jobs.
func (c *jobsRetryCmd) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, bellhop.ActRetry, "retried")
}

// Run makes the jobs ready.
func (c *jobsRunCmd) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, bellhop.ActRunNow, "made ready")
}

// Run cancels the jobs.
func (c *jobsCancelCmd) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, bellhop.ActCancel, "cancelled")
}

// Run discards the jobs.
func (c *jobsDiscardCmd) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, bellhop.ActDiscard, "discarded")
}

// Run deletes the jobs.
func (c *jobsDeleteCmd) Run(ctx context.Context, a *app) error {
	return c.run(ctx, a, bellhop.ActDelete, "deleted")
}

// actResult is the JSON of an action.
type actResult struct {
	Action string `json:"action"`
	// Count is how many jobs were changed, or, as they run, asked to stop.
	Count int `json:"count"`
	// Changed, Signalled and Skipped are given if the jobs were named by id. Signalled jobs run and were asked to stop.
	Changed   []bellhop.ID `json:"changed,omitempty"`
	Signalled []bellhop.ID `json:"signalled,omitempty"`
	Skipped   []skipped    `json:"skipped,omitempty"`
}

// skipped is a named job that was left as it is.
type skipped struct {
	ID     bellhop.ID    `json:"id"`
	State  bellhop.State `json:"state,omitzero"`  // left out if there is no such job
	Holder bellhop.ID    `json:"holder,omitzero"` // holds its unique key
	Locked bool          `json:"locked,omitzero"` // an open transaction holds it
}

func (c *actFlags) run(ctx context.Context, a *app, action bellhop.Action, done string) error {
	named, filtered := len(c.IDs) > 0, !c.empty()
	switch {
	case named && (filtered || c.All):
		return usage("name the jobs by their ids, or select them by --state, --kind and so on: not both")
	case !named && !filtered && !c.All:
		return usage("say which jobs: ids, or --state, --queue, --kind, --tag, --since and so on, or --all")
	}
	client, err := a.open(ctx, useShared)
	if err != nil {
		return err
	}
	defer client.Close()
	reason := done + " by " + a.who()
	if c.Reason != "" {
		reason += ": " + c.Reason
	}
	if named {
		return c.actOnNamed(ctx, a, client, action, done, reason)
	}
	return c.actOnAll(ctx, a, client, action, done, reason)
}

func (c *actFlags) actOnNamed(ctx context.Context, a *app, client *bellhop.Client, action bellhop.Action, done, reason string) error {
	ids, err := parseIDs(c.IDs)
	if err != nil {
		return err
	}
	reply, err := client.Act(ctx, action, reason, ids...)
	if reply == nil {
		return err
	}
	if n := len(reply.Changed) + len(reply.Signalled); n > 0 {
		e := audit.Entry{Action: action.String(), Count: n, Reason: c.Reason}
		if len(ids) == 1 {
			e.Target = ids[0].String()
		}
		a.audited(ctx, client, e)
	}
	if err != nil {
		return err
	}
	code := exitOK
	result := actResult{
		Action: action.String(), Count: len(reply.Changed) + len(reply.Signalled), Changed: reply.Changed, Signalled: reply.Signalled,
	}
	for _, s := range reply.Skipped {
		result.Skipped = append(result.Skipped, skipped(s))
		if s.State == 0 {
			code = max(code, exitNotFound)
		} else {
			code = exitRefused
		}
	}
	if a.json {
		if err := a.printJSON(result); err != nil {
			return err
		}
	} else {
		for _, id := range reply.Changed {
			a.print("%s %s", id, done)
		}
		for _, id := range reply.Signalled {
			a.print("%s runs: asked to stop", id)
		}
	}
	for _, s := range reply.Skipped {
		a.complain(skipError(action, s))
	}
	if code == exitOK {
		return nil
	}
	return quiet(code)
}

func skipError(action bellhop.Action, s bellhop.Skip) error {
	switch {
	case s.State == 0:
		return fmt.Errorf("job %s: %w (it may have been deleted, or pruned after its time)", s.ID, bellhop.ErrNotFound)
	case !s.Holder.IsZero():
		return fmt.Errorf("job %s: skipped: job %s holds its unique key; wait until that has ended, or cancel it", s.ID, s.Holder)
	case s.Locked:
		return fmt.Errorf("job %s: skipped: an open transaction holds it; try again when that has ended (`bellhop doctor` names it)", s.ID)
	}
	return fmt.Errorf("job %s: skipped: it is %s, and %s is for jobs that are %s", s.ID, s.State, action, orList(action.From()))
}

func orList(set bellhop.StateSet) string {
	return strings.ReplaceAll(set.String(), "|", ", ")
}

// countedTo is how far jobs are counted before an action.
const countedTo = 100_000

func (c *actFlags) actOnAll(ctx context.Context, a *app, client *bellhop.Client, action bellhop.Action, done, reason string) error {
	now, err := storeNow(ctx, client)
	if err != nil {
		return err
	}
	filter, err := c.filter(now)
	if err != nil {
		return err
	}
	switch wanted := filter.States; {
	case wanted == 0 && action == bellhop.ActRetry:
		filter.States = bellhop.States(bellhop.StateDead)
	case wanted == 0:
		filter.States = action.From()
	default:
		if filter.States &= action.From(); filter.States == 0 {
			return refused("%s means nothing for jobs that are %s: it is for jobs that are %s", action, orList(wanted), orList(action.From()))
		}
	}
	n, err := client.Tally(ctx, filter, countedTo)
	if err != nil {
		return err
	}
	result := actResult{Action: action.String()}
	if n.Count > 0 || n.More {
		which := ""
		if filter.States != action.From() {
			which = " (" + orList(filter.States) + ")"
		}
		question := fmt.Sprintf("%s %s%s in %s?", action, jobsCounted(n), which, bellhop.MaskAddress(a.store))
		if err := a.confirm(ctx, c.Yes, question); err != nil {
			return err
		}
		bar := a.progress()
		result.Count, err = client.ActAll(ctx, action, reason, filter, func(changed int) {
			bar.say("%s of %s %s", number(changed), jobsCounted(n), done)
		})
		bar.end()
		if result.Count > 0 {
			a.audited(ctx, client, audit.Entry{Action: action.String(), Filter: audit.FilterText(&filter), Count: result.Count, Reason: c.Reason})
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s, then: %w", count(result.Count, "job"), done, err)
	}
	if a.json {
		return a.printJSON(result)
	}
	a.print("%s %s", count(result.Count, "job"), done)
	return nil
}

func jobsCounted(n bellhop.Tally) string {
	if n.More {
		return number(n.Count) + " or more jobs"
	}
	return count(n.Count, "job")
}
