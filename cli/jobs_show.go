package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/redact"
)

// jobsShowCmd shows one job. Its JSON is a job as GET /v1/jobs/{id} gives it.
type jobsShowCmd struct {
	ID    string `arg:"" help:"The job's id."`
	UTC   bool   `name:"utc" help:"Show exact times only."`
	Stack bool   `help:"Show the stacks of panics."`
	Log   bool   `help:"Show the logs of all attempts that are kept, not only that of the newest attempt."`

	revealFlag
}

// Run shows the job.
func (c *jobsShowCmd) Run(ctx context.Context, a *app) error {
	ids, err := parseIDs([]string{c.ID})
	if err != nil {
		return err
	}
	client, now, err := a.openNow(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	job, err := client.Get(ctx, ids[0])
	if err != nil {
		return err
	}
	if !c.Reveal {
		job = redact.Snapshot(job)
	} else {
		a.audited(ctx, client, audit.Entry{Action: "reveal", Target: job.ID.String()})
	}
	force, err := findWorkforce(ctx, client)
	if err != nil {
		return err
	}
	if a.json {
		return a.printRaw(wireJob(job, force).AppendJSON(nil))
	}
	v := view{a: a, job: job, force: force, clock: clockwork{now, c.UTC}, stacks: c.Stack, logs: c.Log}
	v.facts()
	v.data("Arguments", job.Args)
	v.data("Result", job.Place.Result)
	v.history()
	force.hintJob(a, job)
	return nil
}

// revealFlag shows secrets.
type revealFlag struct {
	Reveal bool `help:"Show the values of secrets, such as passwords, too. It is written to the audit."`
}

// view shows a job for people.
type view struct {
	a      *app
	job    *bellhop.Snapshot
	force  *workforce
	clock  clockwork
	stacks bool
	logs   bool // of all attempts
}

func (v *view) facts() {
	j, p := v.job, &v.job.Place
	v.a.print("%s", v.a.out.paint(bold, "Job "+j.ID.String()))
	state := v.a.out.paint(stateColors[p.State], p.State.String())
	if p.CancelRequested {
		state += ", asked to stop"
	}
	if p.Suspect {
		state += ", suspected of crashing its process"
	}
	v.fact("kind", clean(j.Kind))
	v.fact("queue", clean(j.Queue)+priority(j.Priority))
	v.fact("state", state)
	v.fact("reason", clean(p.Reason))
	v.fact("process", clean(v.force.process(p.Process)))
	if p.State == bellhop.StateRunning {
		v.fact("progress", clean(progressText(p.Progress)))
	}
	v.fact("enqueued", v.clock.both(j.EnqueuedAt))
	if p.State.Final() {
		v.fact("ended", v.clock.both(p.FinishedAt))
		v.fact("kept", v.kept())
	} else {
		v.fact("due", v.clock.both(p.Due))
		v.fact("claimed", v.clock.both(p.ClaimedAt))
	}
	v.fact("failures", v.counters())
	if j.Timeout > 0 {
		v.fact("timeout", j.Timeout.String()+" an attempt")
	}
	v.fact("unique", clean(j.UniqueKey))
	v.fact("tags", clean(strings.Join(j.Tags, " ")))
	for i, key := range slices.Sorted(maps.Keys(j.Meta)) {
		name := "meta"
		if i > 0 {
			name = ""
		}
		v.fact(name, clean(key+"="+j.Meta[key]))
	}
}

// fact prints a line with a name and a value; nothing if the value is empty.
func (v *view) fact(name, value string) {
	if value != "" {
		v.a.print("  %s%s%s", v.a.out.paint(dim, name), strings.Repeat(" ", 11-len(name)), value)
	}
}

func priority(p int) string {
	switch {
	case p < 0:
		return fmt.Sprintf(", priority %d (before others)", p)
	case p > 0:
		return fmt.Sprintf(", priority %d (after others)", p)
	}
	return ""
}

func (v *view) kept() string {
	if at := v.job.Place.ExpiresAt; !at.IsZero() {
		text := "until " + at.UTC().Format(exactForm)
		if !v.clock.utc {
			text += " (" + v.clock.at(at) + ")"
		}
		return text
	}
	return "until a person deletes it"
}

func (v *view) counters() string {
	j, p := v.job, &v.job.Place
	text := fmt.Sprintf("%d of %d, after %s", p.Failures, j.Attempts, count(p.Attempt, "attempt"))
	if p.Crashes > 0 {
		text += fmt.Sprintf(", with %s", strings.Replace(count(p.Crashes, "crash"), "crashs", "crashes", 1))
	}
	if p.Generation > 0 {
		text += fmt.Sprintf(", run again %s", strings.Replace(count(p.Generation, "time"), "1 time", "once", 1))
	}
	return text
}

// data prints JSON: short texts on one line, longer ones indented. Numbers stay as they are written.
func (v *view) data(title string, raw []byte) {
	if len(raw) == 0 {
		return
	}
	const short, long = 76, 16 << 10
	text := string(raw)
	var indented bytes.Buffer
	if len(raw) > short && json.Indent(&indented, raw, "  ", "  ") == nil {
		text = indented.String()
	}
	v.a.print("\n%s", v.a.out.paint(bold, title)+v.a.out.paint(dim, fmt.Sprintf(" (%s bytes)", number(len(raw)))))
	v.a.print("  %s", bellhop.CleanText(text, long))
}

func (v *view) history() {
	if len(v.job.History) == 0 {
		return
	}
	v.a.print("\n%s", v.a.out.paint(bold, "History"))
	t := table{columns: []column{
		{title: "  ATTEMPT", right: true},
		{title: "STARTED"},
		{title: "TOOK", right: true},
		{title: "OUTCOME"},
		{title: "PROCESS", least: 10, drop: 1},
		{title: "ERROR", least: 20, drop: 2},
	}}
	for _, at := range v.job.History {
		number := "-"
		if at.Number > 0 {
			number = fmt.Sprint(at.Number)
		}
		if v.job.Place.Generation > 0 {
			number = fmt.Sprintf("%d.%s", at.Generation, number)
		}
		started, length := at.Started, ""
		if started.IsZero() {
			started = at.ClaimedAt
		} else {
			length = took(at.Ended.Sub(at.Started))
		}
		failure := ""
		if f := at.Failure; f != nil {
			failure = failureText(f)
		}
		t.add(cell{text: number}, cell{text: v.clock.at(started)}, cell{text: length}, outcomeCell(at.Outcome),
			cell{text: v.force.process(at.Process), color: dim}, cell{text: failure})
	}
	t.print(v.a.out)
	v.lastError()
	for i := range v.job.History {
		if v.logs || i == len(v.job.History)-1 {
			v.log(&v.job.History[i])
		}
	}
	if v.stacks {
		v.printStacks()
	}
}

// lastError prints the newest failure in full, since the table cuts it.
func (v *view) lastError() {
	for _, at := range slices.Backward(v.job.History) {
		if at.Failure == nil {
			continue
		}
		v.a.print("\n%s", v.a.out.paint(bold, "Last error"))
		for line := range strings.Lines(bellhop.CleanText(failureText(at.Failure), bellhop.MaxErrorText)) {
			v.a.print("  %s", strings.TrimRight(line, "\n"))
		}
		return
	}
}

// log prints what an attempt has logged, and its trace, if that is kept.
func (v *view) log(at *bellhop.Attempt) {
	var log bellhop.Log
	if len(at.Log) == 0 || json.Unmarshal(at.Log, &log) != nil { // another program has written it
		return
	}
	title := v.a.out.paint(bold, fmt.Sprintf("Log of attempt %d", at.Number))
	if log.Trace != "" {
		title += v.a.out.paint(dim, " trace "+clean(log.Trace))
	}
	v.a.print("\n%s", title)
	for i := range log.Lines {
		l := &log.Lines[i]
		if l.Skipped > 0 {
			v.a.print("  %s", v.a.out.paint(dim, fmt.Sprintf("… %s left out", count(l.Skipped, "line"))))
		}
		text := clean(l.Message)
		for _, a := range l.Attrs {
			text += " " + v.a.out.paint(dim, clean(a.Key)+"=") + clean(a.Value)
		}
		v.a.print("  %s %s %s", v.a.out.paint(dim, fmt.Sprintf("%8s", "+"+took(max(l.Time.Sub(at.Started), 0)))), level(v.a, l.Level), text)
	}
}

// level prints a level as wide as all others.
func level(a *app, l slog.Level) string {
	color := plain
	switch {
	case l >= slog.LevelError:
		color = red
	case l >= slog.LevelWarn:
		color = yellow
	case l < slog.LevelInfo:
		color = dim
	}
	return a.out.paint(color, fmt.Sprintf("%-5s", l))
}

// failureText tells a failure with its class, unless that says nothing.
func failureText(f *bellhop.Failure) string {
	if f.Class == "" || f.Class == "error" {
		return f.Message
	}
	return f.Class + ": " + f.Message
}

func (v *view) printStacks() {
	for _, at := range v.job.History {
		if at.Failure != nil && at.Failure.Stack != "" {
			v.a.print("\n%s", v.a.out.paint(bold, fmt.Sprintf("Stack of attempt %d", at.Number)))
			v.a.print("%s", bellhop.CleanText(at.Failure.Stack, bellhop.MaxErrorText))
		}
	}
}

func outcomeCell(k bellhop.OutcomeKind) cell {
	color := plain
	switch k {
	case bellhop.OutcomeSucceeded:
		color = green
	case bellhop.OutcomeDead, bellhop.OutcomeSwept:
		color = red
	case bellhop.OutcomeRetry:
		color = yellow
	}
	return cell{k.String(), color}
}
