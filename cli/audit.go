package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/redact"
)

// auditTimeout is how long an action may wait for its entry in the audit.
const auditTimeout = 5 * time.Second

// audited writes to the audit what has been done, also if the command is being interrupted. It is no reason to fail: what was
// done is done.
func (a *app) audited(ctx context.Context, client *bellhop.Client, e audit.Entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	e.At, e.Who, e.Via, e.Remote = a.now(), a.who(), audit.ViaCLI, a.host
	e.Reason = redact.Text(e.Reason)
	if err := audit.Write(ctx, client.Store(), e); err != nil {
		a.note("It was done, but could not be written to the audit: %s", a.message(err))
	}
}

// auditCmd lists the audit.
type auditCmd struct {
	Who     string   `help:"What this user or viewer did." placeholder:"NAME" group:"entries"`
	Via     string   `help:"What was done through api, web or cli." placeholder:"WAY" enum:"api,web,cli," default:"" group:"entries"`
	Action  string   `help:"This action: retry, cancel, pause, reveal, login, …." placeholder:"ACTION" group:"entries"`
	Queue   string   `help:"What was done to this queue." placeholder:"NAME" group:"entries"`
	Target  string   `help:"What was done to this job or process." placeholder:"ID" group:"entries"`
	Refused bool     `help:"Only what was refused." group:"entries"`
	Since   flexTime `help:"At this time or later: 2026-01-31T15:04:05Z, 2026-01-31, or 90m (ago)." placeholder:"TIME" group:"entries"`
	Until   flexTime `help:"Before this time." placeholder:"TIME" group:"entries"`
	Limit   int      `help:"How many entries at most, up to 1000." default:"50"`
	After   string   `help:"Go on behind an earlier list: what that one said." placeholder:"MARK"`
	UTC     bool     `name:"utc" help:"Show exact times."`
}

// Run lists the audit, newest first.
func (c *auditCmd) Run(ctx context.Context, a *app) error {
	client, now, err := a.openNow(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Limit < 1 {
		return usage("--limit: %d is out of range: want 1 to 1000", c.Limit)
	}
	q := audit.Query{Who: c.Who, Via: c.Via, Action: c.Action, Queue: c.Queue, Target: c.Target, Refused: c.Refused, Limit: c.Limit, After: c.After}
	if q.Since, err = c.Since.time(now); err != nil {
		return usage("--since: %w", err)
	}
	if q.Until, err = c.Until.time(now); err != nil {
		return usage("--until: %w", err)
	}
	page, err := audit.List(ctx, client.Store(), q)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(page)
	}
	c.show(a, page, clockwork{now, c.UTC})
	return nil
}

func (c *auditCmd) show(a *app, page *audit.Page, clock clockwork) {
	if len(page.Entries) == 0 && page.Next == "" {
		a.note("There is nothing in the audit that matches.")
		return
	}
	t := table{columns: []column{
		{title: "WHEN"},
		{title: "WHO", least: 8},
		{title: "VIA", drop: 3},
		{title: "FROM", least: 8, drop: 2},
		{title: "ACTION"},
		{title: "ON", least: 16},
		{title: "NOTE", least: 14, drop: 1},
	}}
	for i := range page.Entries {
		e := &page.Entries[i]
		color := plain
		if e.Refused != "" {
			color = red
		}
		t.add(cell{text: clock.at(e.At)}, cell{text: cmp.Or(e.Who, "?")}, cell{text: e.Via}, cell{e.Remote, dim}, cell{e.Action, color},
			cell{text: auditObject(e)}, cell{auditNote(e), dim})
	}
	t.print(a.out)
	if page.Next != "" {
		a.note("There are more: --limit shows more at once, --after %s goes on from here.", page.Next)
	}
}

// auditObject tells what an action was done to.
func auditObject(e *audit.Entry) string {
	var parts []string
	if e.Queue != "" {
		parts = append(parts, "queue "+e.Queue)
	}
	if e.Target != "" {
		parts = append(parts, e.Target)
	} else if e.Count > 0 {
		parts = append(parts, count(e.Count, "job"))
	}
	if e.Filter != "" {
		parts = append(parts, "where "+e.Filter)
	}
	return strings.Join(parts, ", ")
}

// auditNote tells why it was done, or was not.
func auditNote(e *audit.Entry) string {
	var parts []string
	if e.Refused != "" {
		parts = append(parts, "refused: "+e.Refused)
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.Times > 1 {
		parts = append(parts, fmt.Sprintf("and %s more like it", number(e.Times-1)))
	}
	return strings.Join(parts, "; ")
}
