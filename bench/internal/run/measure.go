package run

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/gobellhop/bellhop/bench/internal/drill"
	"github.com/gobellhop/bellhop/bench/internal/peer"
	"github.com/gobellhop/bellhop/bench/internal/report"
	"github.com/gobellhop/bellhop/bench/internal/rig"
)

// Entrant is one contender at one task.
type Entrant struct {
	Task      string
	Contender peer.Contender
	Order     drill.Order
	// RoundTrip is added to the way to the server.
	RoundTrip time.Duration
	// Full gives it all the jobs, however long that takes.
	Full bool
	// Beside is the mark of BesideJobs more jobs in the store that are not to be worked, in a database that is kept from run to run.
	Beside     string
	BesideJobs int
	// Backlog is how many more jobs wait than are worked, in a database that is kept from run to run.
	Backlog int
	// Pinned lets another session hold an old snapshot over all runs, in a database that is kept from run to run; Churned does the
	// same without the snapshot, to compare.
	Pinned, Churned bool

	samples []report.Sample
	fault   error
	faults  int
	size    int // jobs of a run
	result  *report.Result
	kept    *kept
}

// kept is a database that outlives a run.
type kept struct {
	address string
	made    time.Time
	next    int // number of the next job
	worked  int // finished so far
	unpin   func()
}

// keeps reports whether the entrant's database is kept from run to run.
func (e *Entrant) keeps() bool { return e.Backlog > 0 || e.Beside != "" || e.Pinned || e.Churned }

// measure makes one run of a number of jobs.
func (r *Runner) measure(ctx context.Context, e *Entrant, jobs int) (report.Sample, error) {
	order := e.Order
	order.Contender, order.Jobs = e.Contender.Name, jobs
	place := strings.NewReplacer("-", "_", " ", "_").Replace(e.Contender.Name + "_" + e.Task)
	var err error
	if e.keeps() {
		err = r.keep(ctx, e, place, &order)
	} else {
		order.Address, err = r.store.Fresh(ctx, place)
		if err == nil && order.Action == drill.Drain {
			err = r.fill(ctx, e, order)
		}
	}
	if err != nil {
		return report.Sample{}, err
	}
	if err := r.store.Settle(ctx, place); err != nil {
		return report.Sample{}, err
	}
	if e.RoundTrip > 0 {
		delay, err := rig.NewDelay(order.Address, e.RoundTrip)
		if err != nil {
			return report.Sample{}, err
		}
		defer delay.Close()
		order.Address = delay.Address
	}
	s, err := r.carryOut(ctx, e.Contender, order)
	if err == nil && !e.keeps() {
		err = r.store.Drop(ctx, place)
	}
	return s, err
}

// fill puts jobs.
func (r *Runner) fill(ctx context.Context, e *Entrant, order drill.Order) error {
	order.Action = drill.Fill
	if _, err := r.carryOut(ctx, e.Contender, order); err != nil {
		return fmt.Errorf("putting %s jobs: %w", order.Mark, err)
	}
	return nil
}

// keep prepares a run in a database that is kept from run to run: the first time it makes the backlog, or the jobs beside, or opens
// the old snapshot; then it puts as many jobs as will be worked.
func (r *Runner) keep(ctx context.Context, e *Entrant, place string, order *drill.Order) error {
	if e.kept == nil {
		if err := r.found(ctx, e, place, *order); err != nil {
			return err
		}
	}
	order.Address, order.First = e.kept.address, e.kept.next
	if err := r.fill(ctx, e, *order); err != nil {
		return err
	}
	e.kept.next += order.Jobs
	if e.Backlog > 0 {
		order.First, order.Backlog = 0, e.kept.next
	}
	order.Worked = e.kept.worked
	e.kept.worked += order.Jobs
	return nil
}

// found makes the database that is kept.
func (r *Runner) found(ctx context.Context, e *Entrant, place string, order drill.Order) error {
	address, err := r.store.Fresh(ctx, place)
	if err != nil {
		return err
	}
	e.kept = &kept{address: address, made: time.Now(), unpin: func() {}}
	order.Address, order.Mark = address, e.Beside
	if order.Jobs = max(e.Backlog, e.BesideJobs); order.Jobs > 0 {
		if err := r.fill(ctx, e, order); err != nil {
			return err
		}
		e.kept.next = order.Jobs
	}
	if e.Pinned {
		e.kept.unpin, err = r.store.Pin(ctx, place)
	}
	return err
}

// patience is how long a process may take: far longer than any does that gets on.
const patience = 5 * time.Minute

// carryOut runs a process with an order and returns what it came to.
func (r *Runner) carryOut(ctx context.Context, c peer.Contender, order drill.Order) (s report.Sample, err error) {
	text, err := json.Marshal(order)
	if err != nil {
		return s, err
	}
	path, args := r.Self, []string(nil)
	if c.Program != "" {
		if path, args, err = r.foreign.command(c.Program); err != nil {
			return s, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	child, err := rig.StartChild(ctx, path, args, []string{
		peer.OrderVariable + "=" + string(text), peer.StoreVariable + "=" + c.Store, peer.FolderVariable + "=" + r.Module,
	})
	if err != nil {
		return s, err
	}
	turn, err := rig.TakeTurn(ctx, r.Around)
	if err != nil {
		return s, err
	}
	defer turn.End()
	before, err := r.store.Counters(ctx)
	if err != nil {
		return s, err
	}
	cpu := r.store.CPU()
	if err := child.Go(); err != nil {
		return s, err
	}
	cpu = r.store.CPU() - cpu
	log, err := r.store.Counters(ctx)
	if err != nil {
		return s, err
	}
	reply, err := child.End()
	if err != nil {
		return s, err
	}
	if reply.Lost > 0 || reply.Doubled > 0 {
		return s, fmt.Errorf("delivery: %d jobs lost, %d run more than once", reply.Lost, reply.Doubled)
	}
	after, err := r.store.Counters(ctx) // PostgreSQL's sessions report by their end
	if err != nil {
		return s, err
	}
	after = after.Sub(before)
	after.LogBytes = log.LogBytes - before.LogBytes
	return sample(reply, cpu, after), nil
}

func sample(reply drill.Reply, serverCPU float64, counters rig.Counters) report.Sample {
	n := max(float64(reply.Jobs), 1)
	s := report.Sample{
		Jobs: reply.Jobs, Seconds: reply.Seconds, Rate: float64(reply.Jobs) / max(reply.Seconds, 1e-9), Peak: reply.Peak,
		ClientCPU: reply.CPU / n, ServerCPU: serverCPU / n,
		Commits: counters.Commits / n, LogBytes: counters.LogBytes / n, Buffers: counters.Buffers / n,
		Allocs: float64(reply.Allocs) / n, Latencies: reply.Latencies,
	}
	if counters == (rig.Counters{}) {
		s.LogBytes = float64(reply.Written) / n // files: what the process itself wrote
	}
	return s
}

// folderOf is where a store that is files keeps them.
func (r *Runner) folderOf(store string) string { return filepath.Join(r.Folder, store) }
