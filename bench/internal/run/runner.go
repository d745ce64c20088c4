package run

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop/bench/internal/drill"
	"github.com/gobellhop/bellhop/bench/internal/peer"
	"github.com/gobellhop/bellhop/bench/internal/report"
	"github.com/gobellhop/bellhop/bench/internal/rig"
)

// Config says how much to measure.
type Config struct {
	// Rounds is how many times each contender runs; medians are over these.
	Rounds int
	// Size is how many jobs a drain works at most.
	Size int
	// Budget is about how long one run of a drain takes: slower contenders get fewer jobs.
	Budget time.Duration
	// Enqueue is how long one run of an enqueue takes.
	Enqueue time.Duration
	// Backlog and Beside are how many jobs wait behind, or stand beside, those that are worked.
	Backlog, Beside int
	// Hold is how long an old snapshot has been held before it is measured.
	Hold time.Duration
	// Latencies is how many jobs are timed in each run.
	Latencies int
	// Pairs is how many interleaved pairs decide where a ratio is near its target.
	Pairs int
	// Short leaves out all but a few contenders, to see that everything works.
	Short bool
	// Stores are those to measure, Only the words that a store/group/contender must hold one of; empty for all.
	Stores, Only []string
	// Around is a shell command that runs round each measurement; see [rig.TakeTurn].
	Around string
	// Self is this program, Folder a temporary one, Module that of this module's source, Cache where packages of other languages
	// are installed.
	Self, Folder, Module, Cache string
	// Progress is told what is going on.
	Progress io.Writer
}

// Runner measures one store after the other.
type Runner struct {
	Config
	store   rig.Store
	foreign *foreign
	// Report grows while the benchmark runs.
	Report *report.Report
	began  time.Time
}

// New returns a runner.
func New(cfg Config) *Runner {
	return &Runner{Config: cfg, foreign: &foreign{source: filepath.Join(cfg.Module, "foreign"), cache: cfg.Cache, offline: cfg.Short}, Report: &report.Report{Stores: map[string][]string{}}, began: time.Now()}
}

// Run measures all groups of all stores that were asked for.
func (r *Runner) Run(ctx context.Context) error {
	r.Report.Machine = rig.Machine(r.Folder)
	r.Report.Method = []string{
		fmt.Sprintf("%d rounds after one to warm up; a drain of at most %s jobs, of fewer where that would take much more than %v; enqueues for %v",
			r.Rounds, report.Number(float64(r.Size)), r.Budget, r.Enqueue),
	}
	for _, note := range r.foreign.prepare() {
		r.note("%s", note)
	}
	for _, store := range r.Stores {
		if err := r.runStore(ctx, store); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.note("%s: not measured: %v", store, err)
		}
	}
	return nil
}

func (r *Runner) runStore(ctx context.Context, name string) (err error) {
	groups := r.groups(name)
	if len(groups) == 0 {
		return nil
	}
	if r.store, err = rig.Start(ctx, name, r.folderOf(name)); err != nil {
		return err
	}
	defer func() {
		if e := r.store.Close(); err == nil {
			err = e
		}
	}()
	r.describe(name, groups)
	defer func() {
		for _, g := range groups {
			for _, e := range g.Entrants {
				if e.kept != nil {
					e.kept.unpin()
				}
			}
		}
	}()
	for _, g := range groups {
		if err := r.runGroup(ctx, g); err != nil {
			return err
		}
	}
	return r.runPairs(ctx, name, groups)
}

// describe notes with what settings the server and the contenders of some groups run.
func (r *Runner) describe(store string, groups []Group) {
	r.Report.Stores[store] = r.store.Describe()
	seen := map[string]bool{}
	for _, g := range groups {
		for _, e := range g.Entrants {
			c := e.Contender
			if !seen[c.Name] {
				seen[c.Name] = true
				r.Report.Contenders = append(r.Report.Contenders, report.Contender{
					Store: store, Name: c.Name, Title: c.Title, Version: version(c), Settings: c.Settings,
				})
			}
		}
	}
}

// version is that of the module which is built into this program, or what the register says.
func version(c peer.Contender) string {
	info, ok := debug.ReadBuildInfo()
	if c.Module == "" || !ok {
		return c.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == c.Module {
			if dep.Replace != nil {
				return "this tree"
			}
			return dep.Version
		}
	}
	return c.Version
}

// runPairs lets the two sides of each target that is within the noise run on in turn, until there are enough pairs.
func (r *Runner) runPairs(ctx context.Context, store string, groups []Group) error {
	for _, t := range report.Targets() {
		if t.Store != store {
			continue
		}
		if v := r.Report.Judge(t); !v.Near {
			continue
		}
		var pair []*Entrant
		var of Group
		for _, g := range groups {
			for _, e := range g.Entrants {
				if e.Task == t.OurTask && e.Contender.Name == t.Ours || e.Task == t.TheirTask && e.Contender.Name == r.Report.Opponent(t) {
					pair, of = append(pair, e), g
				}
			}
		}
		for round := r.Rounds + 1; len(pair) == 2 && round <= r.Pairs; round++ {
			slices.Reverse(pair)
			for _, e := range pair {
				if len(e.samples) >= r.Pairs {
					continue
				}
				if err := r.once(ctx, of, e, round); err != nil {
					return err
				}
			}
		}
		for _, e := range pair {
			e.result.Samples = e.samples
		}
	}
	return nil
}

// runGroup lets the entrants of a group run in turn, forwards and backwards, after a first round that warms up and tells how many
// jobs are worth giving to each.
func (r *Runner) runGroup(ctx context.Context, g Group) error {
	for round := range r.Rounds + 1 {
		if round == 1 {
			r.age(ctx, g)
		}
		order := make([]int, len(g.Entrants))
		for i := range order {
			order[i] = i
		}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			e := g.Entrants[i]
			if e.fault != nil {
				continue
			}
			if round == 0 {
				e.size = r.warm(ctx, g, e)
				continue
			}
			if err := r.once(ctx, g, e, round); err != nil {
				return err
			}
		}
	}
	r.Report.Groups = append(r.Report.Groups, report.Group{Store: g.Store, Name: g.Name, Title: g.Title})
	for _, e := range g.Entrants {
		e.result = g.result(e)
		r.Report.Results = append(r.Report.Results, e.result)
	}
	return nil
}

// age lets jobs pass through databases whose old snapshot has not been held long enough, and through those that they are compared
// with, until it has.
func (r *Runner) age(ctx context.Context, g Group) {
	oldest := time.Now()
	for _, e := range g.Entrants {
		if e.Pinned && e.kept != nil && e.kept.made.Before(oldest) {
			oldest = e.kept.made
		}
	}
	for g.Name == "snapshot" && time.Since(oldest) < r.Hold && ctx.Err() == nil {
		for _, e := range g.Entrants {
			if e.fault == nil && e.Full {
				if _, err := r.measure(ctx, e, e.size); err != nil {
					r.failed(ctx, g, e, err)
				}
			}
		}
	}
}

// once makes one run that counts; its error is only that of a context that has ended.
func (r *Runner) once(ctx context.Context, g Group, e *Entrant, round int) error {
	s, err := r.measure(ctx, e, e.size)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.failed(ctx, g, e, err)
		return nil
	}
	e.samples = append(e.samples, s)
	r.tell(g, e, round, s)
	return nil
}

// warm makes a small run that does not count, and returns how many jobs fill the budget.
func (r *Runner) warm(ctx context.Context, g Group, e *Entrant) int {
	switch {
	case e.Order.Every >= 0.5:
		return max(r.Latencies/2, 1) // they take long
	case e.Order.Action == drill.Latency, e.Order.Action == drill.Across:
		return r.Latencies
	}
	if r.Short {
		return r.Size
	}
	jobs := min(r.Size, 5000)
	if !e.keeps() {
		e.Order.Limit = 2 * r.Budget.Seconds() // of those that are slow, a part is enough
		defer func() { e.Order.Limit = 0 }()
	}
	seconds := e.Order.Seconds
	e.Order.Seconds /= 3
	s, err := r.measure(ctx, e, jobs)
	e.Order.Seconds = seconds
	if err != nil {
		r.failed(ctx, g, e, err)
		return jobs
	}
	if e.Full {
		return r.Size
	}
	if s.Seconds < r.Budget.Seconds()/4 && jobs < r.Size && (e.Order.Action == drill.Drain || e.Order.Action == drill.Worker) {
		// What starting took would hide the rate: once more, with more jobs.
		jobs = min(r.Size, int(s.Rate*r.Budget.Seconds()/2))
		if s, err = r.measure(ctx, e, jobs); err != nil {
			r.failed(ctx, g, e, err)
			return jobs
		}
	}
	return max(min(r.Size, int(s.Rate*r.Budget.Seconds())), min(r.Size, 50))
}

// faultsAllowed is how many runs of a contender may fail, each with a note, before it is left out.
const faultsAllowed = 2

func (r *Runner) failed(ctx context.Context, g Group, e *Entrant, err error) {
	if e.faults++; e.faults > faultsAllowed || len(e.samples) == 0 && e.faults == faultsAllowed {
		e.fault = err
	}
	if ctx.Err() == nil {
		r.note("%s: %s: %s: a run failed: %v", g.Store, g.Title, e.Contender.Title, err)
	}
}

func (r *Runner) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.Report.Notes = append(r.Report.Notes, text)
	fmt.Fprintln(r.Progress, text)
}

func (r *Runner) tell(g Group, e *Entrant, round int, s report.Sample) {
	fmt.Fprintf(r.Progress, "%6.0fs %s/%s %d/%d %s %s: %d jobs, %.0f/s, cpu %.1f + %.1f us\n", time.Since(r.began).Seconds(),
		g.Store, g.Name, round, r.Rounds, e.Task, e.Contender.Name, s.Jobs, s.Rate, s.ClientCPU, s.ServerCPU)
}

// wanted reports whether a contender at a task was asked for.
func (r *Runner) wanted(words ...string) bool {
	if len(r.Only) == 0 {
		return true
	}
	all := strings.Join(words, "/")
	return slices.ContainsFunc(r.Only, func(only string) bool { return strings.Contains(all, only) })
}
