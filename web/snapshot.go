package web

import (
	"context"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/control"
)

// snapshot is what all browsers watch: one look at the store, made of a fixed number of calls however many queues, jobs and
// browsers there are. It never changes once made; err and since tell that a later look has failed.
type snapshot struct {
	number    uint64
	at        time.Time // by the store's clock, when it was asked
	made      time.Time // by this machine's clock
	took      time.Duration
	queues    []queueRow // by name
	processes []bellhop.ProcessStatus
	notes     []note         // the gravest first
	control   *control.State // what people have told workers
	rates     *rates         // nil if rollups could not be read
	ratesErr  error
	past      map[string]time.Duration // by queue: how long its oldest job had waited some time ago
	pastAt    time.Time
	err       error // of the newest look, if it has failed
	since     time.Time
}

// queueRow is a queue as pages show it.
type queueRow struct {
	bellhop.QueueStats
	// Processes work the queue; Slots and Busy are all of theirs, which they may share among queues.
	Processes, Slots, Busy int
	// Concurrency is how many of its jobs are to run at once in each process, by order of a person; 0 if none was given.
	Concurrency int
	// Oldest is how long the oldest ready job has waited.
	Oldest time.Duration
	// Hint says why nothing is run; empty if all is well.
	Hint string
	// Grows says that Oldest is longer than it was some time ago.
	Grows bool
	// Rates tells of the last minutes; nil if nothing is known of them.
	Rates *queueRates
}

// Waiting is how many jobs are yet to run.
func (q *queueRow) Waiting() int { return q.Ready + q.Scheduled + q.Blocked }

// growsOver is the time over which the wait of the oldest job is compared.
const growsOver = 30 * time.Second

// look makes a snapshot. last is the one before, nil for the first.
func (s *Server) look(ctx context.Context, last *snapshot) (*snapshot, error) {
	began := time.Now()
	now, err := s.client.Store().Ping(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the store for the time: %w", err)
	}
	stats, err := s.client.Store().Stats(ctx, countedTo)
	if err != nil {
		return nil, fmt.Errorf("look at the queues: %w", err)
	}
	processes, err := s.client.Processes(ctx)
	if err != nil {
		return nil, err
	}
	told, err := control.Read(ctx, s.client.Store())
	if err != nil {
		return nil, err
	}
	shot := &snapshot{at: now, made: time.Now(), processes: processes, control: told}
	force := api.NewWorkforce(processes, stats)
	shot.queues = queueRows(now, stats, processes, force)
	if shot.rates, shot.ratesErr = s.readRates(ctx, last); shot.ratesErr != nil {
		s.log.Warn("the rates of queues cannot be read", bellhop.AttrError, shot.ratesErr)
	}
	shot.compare(last)
	shot.notes = healthNotes(shot)
	shot.took = time.Since(began)
	return shot, nil
}

// queueRows joins what the store says of queues with who works them. Queues that have nothing to do and are worked are rows too.
func queueRows(now time.Time, stats []bellhop.QueueStats, processes []bellhop.ProcessStatus, force *api.Workforce) []queueRow {
	rows := make([]queueRow, 0, len(stats))
	at := map[string]int{}
	add := func(q bellhop.QueueStats) {
		row := queueRow{QueueStats: q, Hint: force.QueueHint(&q)}
		if !q.OldestReady.IsZero() {
			row.Oldest = max(0, now.Sub(q.OldestReady))
		}
		at[q.Queue] = len(rows)
		rows = append(rows, row)
	}
	for _, q := range stats {
		add(q)
	}
	for i := range processes {
		p := &processes[i]
		for _, name := range p.Queues {
			if _, has := at[name]; !has {
				add(bellhop.QueueStats{Queue: name})
			}
			row := &rows[at[name]]
			row.Processes, row.Slots, row.Busy = row.Processes+1, row.Slots+p.Slots, row.Busy+p.Busy
		}
	}
	sortRows(rows, "name", false)
	return rows
}

// compare joins rates to queues, and finds out which waits grow.
func (shot *snapshot) compare(last *snapshot) {
	if last != nil {
		shot.past, shot.pastAt = last.past, last.pastAt
	}
	for i := range shot.queues {
		q := &shot.queues[i]
		if shot.control != nil {
			q.Concurrency = shot.control.Concurrency(q.Queue)
		}
		if shot.rates != nil {
			q.Rates = shot.rates.queues[q.Queue]
		}
		before, known := shot.past[q.Queue]
		q.Grows = known && q.Oldest > before
	}
	if shot.at.Sub(shot.pastAt) >= growsOver {
		shot.past, shot.pastAt = map[string]time.Duration{}, shot.at
		for _, q := range shot.queues {
			if q.Oldest > 0 {
				shot.past[q.Queue] = q.Oldest
			}
		}
	}
}

// now is the store's clock.
func (shot *snapshot) now() time.Time { return shot.at.Add(time.Since(shot.made)) }

// visible returns the queues that a viewer may see.
func (shot *snapshot) visible(v *access.Viewer) []queueRow {
	if len(v.Queues) == 0 {
		return shot.queues
	}
	rows := make([]queueRow, 0, len(shot.queues))
	for _, q := range shot.queues {
		if v.On(q.Queue) >= access.Read {
			rows = append(rows, q)
		}
	}
	return rows
}

// queue returns a queue, an empty one if there is none of that name.
func (shot *snapshot) queue(name string) *queueRow {
	for i := range shot.queues {
		if shot.queues[i].Queue == name {
			return &shot.queues[i]
		}
	}
	return &queueRow{QueueStats: bellhop.QueueStats{Queue: name}}
}

// bar is what the navigation tells on every page.
type bar struct {
	Dead, Running, Ready, Paused, Processes int
	Problems                                int // notes of things that are wrong
}

// bar sums up what a viewer may see.
func (shot *snapshot) bar(v *access.Viewer) *bar {
	b := &bar{Processes: len(shot.processes)}
	for _, q := range shot.visible(v) {
		b.Dead, b.Running, b.Ready = b.Dead+q.Dead, b.Running+q.Running, b.Ready+q.Ready
		if q.Paused {
			b.Paused++
		}
	}
	for _, n := range shot.notesFor(v) {
		if n.Level == levelProblem {
			b.Problems++
		}
	}
	return b
}

// snapshot returns what is known of the store, looked up anew if it is old; nil if the store has never answered. One request sees one
// snapshot only.
func (v *view) snapshot() *snapshot {
	if v.shot == nil {
		v.shot = v.s.live.current(v.Context())
	}
	return v.shot
}

// needSnapshot is snapshot for pages that are nothing without one.
func (v *view) needSnapshot() (*snapshot, error) {
	if shot := v.snapshot(); shot != nil {
		return shot, nil
	}
	if err := v.s.live.trouble(); err != nil {
		return nil, err
	}
	return nil, context.Cause(v.Context())
}
