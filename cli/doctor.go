package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// doctorCmd looks for what is wrong. It ends with exit code 1 if it finds a problem.
type doctorCmd struct{}

// doctorResult is the JSON of doctor.
type doctorResult struct {
	Store    string            `json:"store"`
	Findings []bellhop.Finding `json:"findings"` // the gravest first
}

const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelProblem = "problem"
)

// Run looks, and prints what it finds.
func (*doctorCmd) Run(ctx context.Context, a *app) error {
	d := diagnosis{a: a}
	client, err := a.open(ctx, useAlone)
	if err != nil {
		d.problem("store", a.message(explain(ctx, err)), "")
		if err := d.print(); err != nil {
			return err
		}
		return quiet(exitUnavailable)
	}
	defer client.Close()
	d.client = client
	for _, look := range []func(context.Context) error{d.lookAtStore, d.lookAtSchema, d.lookAtQueues, d.lookAtKinds, d.lookInside} {
		if err := look(ctx); err != nil {
			if ctx.Err() != nil {
				return err
			}
			d.problem("store", a.message(err), "see to the store first")
			break
		}
	}
	if err := d.print(); err != nil {
		return err
	}
	if slices.ContainsFunc(d.findings, func(f bellhop.Finding) bool { return f.Level == levelProblem }) {
		return quiet(exitFailed)
	}
	return nil
}

// diagnosis gathers findings.
type diagnosis struct {
	a        *app
	client   *bellhop.Client
	force    *workforce
	now      time.Time
	findings []bellhop.Finding
}

func (d *diagnosis) add(level, subject, detail, advice string) {
	d.findings = append(d.findings, bellhop.Finding{Level: level, Subject: subject, Detail: detail, Advice: advice})
}

func (d *diagnosis) ok(subject, detail string) { d.add(levelOK, subject, detail, "") }
func (d *diagnosis) warn(subject, detail, advice string) {
	d.add(levelWarning, subject, detail, advice)
}

func (d *diagnosis) problem(subject, detail, advice string) {
	d.add(levelProblem, subject, detail, advice)
}

// lookAtStore asks whether the store answers, how fast, and whether the clocks agree.
func (d *diagnosis) lookAtStore(ctx context.Context) error {
	var best time.Duration
	var ahead time.Duration
	for i := range 5 {
		began, before := time.Now(), d.a.now()
		now, err := d.client.Store().Ping(ctx)
		if err != nil {
			return err
		}
		if round := time.Since(began); i == 0 || round < best {
			best, ahead, d.now = round, now.Sub(before.Add(round/2)), now
		}
	}
	caps := d.client.Store().Capabilities()
	d.ok("store", fmt.Sprintf("%s answers in %s; %s", bellhop.MaskAddress(d.a.store), took(best), caps.Durability))
	if !caps.Shared {
		d.warn("store", "it lives in one process only", "use another store for anything but tests")
	}
	if ahead.Abs() > time.Second {
		d.warn("clock", fmt.Sprintf("the store's clock differs from this machine's by %s", took(ahead.Abs())),
			"due times go by the store's clock; set both by NTP")
	}
	return nil
}

func (d *diagnosis) lookAtSchema(ctx context.Context) error {
	m, ok := bellhop.As[bellhop.Migrator](d.client.Store())
	if !ok {
		return nil
	}
	have, newest, err := m.Schema(ctx)
	switch {
	case err != nil:
		return err
	case have < newest:
		d.warn("schema", fmt.Sprintf("it has version %d, and this program knows %d", have, newest), "run bellhop migrate up")
	case have > newest:
		d.problem("schema", fmt.Sprintf("it has version %d, and this program knows %d", have, newest), "use the newer release")
	default:
		d.ok("schema", fmt.Sprintf("version %d, the newest", have))
	}
	return nil
}

// lookAtQueues compares what is to do with who is there to do it.
func (d *diagnosis) lookAtQueues(ctx context.Context) error {
	stats, force, err := findQueues(ctx, d.client)
	if err != nil {
		return err
	}
	d.force = force
	const (
		start = "start bellhop serve, bellhop work, or the program that has the handlers"
		hands = "more slots, more processes, or shorter jobs"
	)
	ready := slices.ContainsFunc(stats, func(q bellhop.QueueStats) bool { return q.Ready > 0 })
	switch n := len(force.Processes); {
	case n > 0:
		d.ok("processes", strings.Replace(count(n, "living process"), "processs", "processes", 1))
	case ready:
		d.problem("processes", "jobs are ready, and there is no living process", start)
	default:
		d.warn("processes", "no living process", start)
	}
	clock := clockwork{now: d.now}
	dead, more := 0, false
	var unworked, late []queueFinding
	for _, q := range withWorkers(stats, force) {
		subject := "queue " + q.Queue
		dead, more = dead+q.Dead, more || q.More(q.Dead)
		waiting := q.Ready + q.Scheduled
		switch age := d.now.Sub(q.OldestReady); {
		case q.Paused:
			detail := "paused"
			if q.Ready > 0 {
				detail += fmt.Sprintf(", with %s ready", countedJobs(q.Ready, q.More(q.Ready)))
			}
			d.warn(subject, detail, "bellhop queues resume "+q.Queue)
		case q.Hint != "" && len(force.Processes) > 0:
			unworked = append(unworked, queueFinding{
				q.Queue, fmt.Sprintf("%s, and no living process works it", waits(waiting, countedJobs(waiting, q.More(max(q.Ready, q.Scheduled))))),
				"start a worker with --queue " + q.Queue + "=10",
			})
		case q.Ready > 0 && age > time.Minute:
			late = append(late, queueFinding{
				q.Queue, fmt.Sprintf("%s ready, the oldest since %s", countedJobs(q.Ready, q.More(q.Ready)), span(age)),
				hands,
			})
		}
		if late := d.now.Sub(q.NextDue); !q.NextDue.IsZero() && late > 10*time.Second && len(force.Processes) > 0 {
			d.problem(subject, "a scheduled job was due "+clock.at(q.NextDue)+", and nobody has made it ready",
				"see the logs of the workers")
		}
	}
	ofQueues(d.problem, unworked, "jobs wait, and no living process works", "start workers for them: bellhop queues list says of how many jobs")
	ofQueues(d.warn, late, "jobs have been ready for more than a minute in", hands)
	if dead > 0 {
		d.warn("dead jobs", waits(dead, countedJobs(dead, more))+" for a person", "bellhop jobs list --state dead")
	}
	return nil
}

// queueFinding is what was found of one queue.
type queueFinding struct{ queue, detail, fix string }

// ofQueues tells what was found of each queue, or of all in one line if they are too many to be read one by one.
func ofQueues(tell func(subject, detail, fix string), found []queueFinding, all, fix string) {
	if len(found) <= fewNames {
		for _, f := range found {
			tell("queue "+f.queue, f.detail, f.fix)
		}
		return
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.queue
	}
	tell(count(len(found), "queue"), all+" "+fewOf(names), fix)
}

func countedJobs(n int, more bool) string {
	if more {
		return number(n) + " or more jobs"
	}
	return count(n, "job")
}

// sample is how many ready jobs are looked at for kinds that nobody works.
const sample = 1000

// lookAtKinds looks for ready jobs of kinds that no living process works, or none of those that work the queue.
func (d *diagnosis) lookAtKinds(ctx context.Context) error {
	if len(d.force.Processes) == 0 {
		return nil
	}
	list, err := d.client.List(ctx, bellhop.Query{
		Filter: bellhop.Filter{States: bellhop.States(bellhop.StateReady)}, Limit: sample, WithoutArgs: true,
	})
	if err != nil {
		return err
	}
	lacking, apart := map[string]int{}, map[string]map[string]int{} // by kind; by queue and kind
	for _, j := range list.Jobs {
		switch kinds, queues, both := d.force.Works(j.Kind, j.Queue); {
		case !kinds:
			lacking[j.Kind]++
		case queues && !both: // that nobody works the queue has been said
			if apart[j.Queue] == nil {
				apart[j.Queue] = map[string]int{}
			}
			apart[j.Queue][j.Kind]++
		}
	}
	for _, kind := range sortedKeys(lacking) {
		d.problem("kind "+kind, fmt.Sprintf("%s ready, and no living process has a handler", count(lacking[kind], "job")),
			"start the program that has it; is the kind spelt right?")
	}
	for _, queue := range sortedKeys(apart) {
		for _, kind := range sortedKeys(apart[queue]) {
			d.problem("kind "+kind, fmt.Sprintf("%s ready on the queue %s, and no living process that works it has a handler", count(apart[queue][kind], "job"), queue),
				"let the program that has the handler work that queue too")
		}
	}
	return nil
}

// lookInside asks the store what it thinks of itself, and leaves out that all is well where something was said already.
func (d *diagnosis) lookInside(ctx context.Context) error {
	self, ok := bellhop.As[bellhop.Diagnoser](d.client.Store())
	if !ok {
		return nil
	}
	said := map[string]bool{}
	for _, f := range d.findings {
		said[f.Subject] = true
	}
	found, err := self.Diagnose(ctx)
	if examiner, ok := bellhop.As[bellhop.Examiner](d.client.Store()); ok && err == nil {
		var more []bellhop.Finding
		more, err = d.examine(ctx, examiner)
		found = append(found, more...)
	}
	for _, f := range found {
		if f.Level != levelOK || !said[f.Subject] {
			d.findings = append(d.findings, f)
		}
	}
	return err
}

// examine has the store check all that it holds, and says that it takes its time if it does.
func (d *diagnosis) examine(ctx context.Context, e bellhop.Examiner) (found []bellhop.Finding, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		found, err = e.Examine(ctx)
	}()
	patience := time.NewTimer(2 * time.Second)
	defer patience.Stop()
	select {
	case <-ended:
	case <-patience.C:
		d.a.note("Reading all that is stored, which takes seconds for each gigabyte.")
		<-ended
	}
	return found, err
}

func (d *diagnosis) print() error {
	rank := map[string]int{levelProblem: 0, levelWarning: 1}
	of := func(f bellhop.Finding) int {
		if r, ok := rank[f.Level]; ok {
			return r
		}
		return 2
	}
	slices.SortStableFunc(d.findings, func(a, b bellhop.Finding) int { return of(a) - of(b) })
	if d.a.json {
		return d.a.printJSON(doctorResult{Store: bellhop.MaskAddress(d.a.store), Findings: d.findings})
	}
	colors := map[string]string{levelOK: green, levelWarning: yellow, levelProblem: red}
	for _, f := range d.findings {
		label := d.a.out.paint(colors[f.Level], f.Level) + strings.Repeat(" ", max(0, 7-len(f.Level)))
		d.a.print("%s  %s: %s", label, clean(f.Subject), clean(f.Detail))
		if f.Advice != "" {
			d.a.print("         %s", d.a.out.paint(dim, clean(f.Advice)))
		}
	}
	return nil
}
