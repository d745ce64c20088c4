package web

import (
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
	"github.com/gobellhop/bellhop/internal/look"
)

// snapshot is what all browsers watch, made of the looks at the queues and at their rates. It never changes once made; err and since
// tell that a later look has failed.
type snapshot struct {
	*look.Queues
	number uint64
	looked [2]uint64 // the numbers of the looks it is made of
	took   time.Duration
	every  time.Duration            // how long it is shown before the next, at the least
	queues []queueRow               // by name
	notes  []note                   // the gravest first
	rates  *rates                   // nil if rollups could not be read
	past   map[string]time.Duration // by queue: how long its oldest job had waited some time ago
	pastAt time.Time
	err    error // of the newest look, if it has failed
	since  time.Time
}

// queueRow is a queue as pages show it.
type queueRow struct {
	bellhop.QueueStats
	// Processes work the queue; Slots and Busy are all of theirs, which they may share among queues. Who does not see all of
	// those is told of neither: see [access.Viewer.Processes].
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

// newSnapshot makes a snapshot of what was seen; it asks the store for nothing. last is the one before, nil for the first.
func newSnapshot(queues *look.Seen[look.Queues], rates *look.Seen[rates], last *snapshot) *snapshot {
	shot := &snapshot{
		Queues: queues.Value, looked: [2]uint64{queues.Number, rates.Number}, took: queues.Took, every: max(liveEvery, queues.Every()),
		err: queues.Err, since: queues.Since,
	}
	if rates.Err == nil || rates.Age() < max(liveKeep, 2*rates.Every()) {
		shot.rates = rates.Value
	}
	if last != nil {
		shot.number = last.number + 1
	}
	shot.queues = queueRows(shot.Queues)
	shot.compare(last)
	shot.notes = healthNotes(shot)
	return shot
}

// isBefore reports whether what was seen is newer than the snapshot, or no longer well.
func (shot *snapshot) isBefore(queues *look.Seen[look.Queues], rates *look.Seen[rates]) bool {
	if queues.Number < shot.looked[0] || rates.Number < shot.looked[1] { // another request has come first with newer ones
		return false
	}
	return shot.looked != [2]uint64{queues.Number, rates.Number} || shot.err == nil && queues.Err != nil
}

// queueRows joins what the store says of queues with who works them. Queues that have nothing to do and are worked are rows too.
func queueRows(seen *look.Queues) []queueRow {
	rows := make([]queueRow, 0, len(seen.Stats))
	at := map[string]int{}
	force := api.NewWorkforce(seen.Processes, seen.Stats)
	add := func(q bellhop.QueueStats) {
		at[q.Queue] = len(rows)
		rows = append(rows, queueRow{
			QueueStats: q, Hint: force.QueueHint(&q), Oldest: seen.Oldest(&q), Concurrency: seen.Control.Concurrency(q.Queue),
		})
	}
	for _, q := range seen.Stats {
		add(q)
	}
	for _, p := range seen.Processes {
		for _, name := range p.Queues {
			if _, has := at[name]; !has {
				add(bellhop.QueueStats{Queue: name})
			}
		}
	}
	sortRows(rows, "name", false)
	whoWorks(rows, seen.Processes)
	return rows
}

// whoWorks adds up, for each row, the processes that work its queue.
func whoWorks(rows []queueRow, processes []bellhop.ProcessStatus) {
	at := make(map[string]*queueRow, len(rows))
	for i := range rows {
		row := &rows[i]
		row.Processes, row.Slots, row.Busy = 0, 0, 0
		at[row.Queue] = row
	}
	for i := range processes {
		p := &processes[i]
		for _, name := range p.Queues {
			if row := at[name]; row != nil {
				row.Processes, row.Slots, row.Busy = row.Processes+1, row.Slots+p.Slots, row.Busy+p.Busy
			}
		}
	}
}

// compare joins rates to queues, and finds out which waits grow.
func (shot *snapshot) compare(last *snapshot) {
	if last != nil {
		shot.past, shot.pastAt = last.past, last.pastAt
	}
	for i := range shot.queues {
		q := &shot.queues[i]
		if shot.rates != nil {
			q.Rates = shot.rates.queues[q.Queue]
		}
		before, known := shot.past[q.Queue]
		q.Grows = known && q.Oldest > before
	}
	if shot.Now.Sub(shot.pastAt) >= growsOver {
		shot.past, shot.pastAt = map[string]time.Duration{}, shot.Now
		for _, q := range shot.queues {
			if q.Oldest > 0 {
				shot.past[q.Queue] = q.Oldest
			}
		}
	}
}

// visible returns the queues that a viewer may see.
func (shot *snapshot) visible(v *access.Viewer) []queueRow {
	if v.SeesAll() {
		return shot.queues
	}
	rows := make([]queueRow, 0, len(shot.queues))
	for _, q := range shot.queues {
		if v.Sees(q.Queue) {
			rows = append(rows, q)
		}
	}
	whoWorks(rows, v.Processes(shot.Processes))
	return rows
}

// queue returns a queue as the viewer, who may see it, is told of it; if it has nothing to do and nobody works it, what else is known of it.
func (shot *snapshot) queue(v *access.Viewer, name string) queueRow {
	for _, q := range shot.visible(v) {
		if q.Queue == name {
			return q
		}
	}
	row := queueRow{QueueStats: bellhop.QueueStats{Queue: name}, Concurrency: shot.Control.Concurrency(name)}
	if shot.rates != nil {
		row.Rates = shot.rates.queues[name]
	}
	return row
}

// bar is what the navigation tells on every page.
type bar struct {
	Dead, Running, Ready, Paused, Processes int
	MoreDead                                bool // some queue may have more than was counted
	Problems                                int  // notes of things that are wrong
}

// bar sums up what a viewer may see.
func (shot *snapshot) bar(v *access.Viewer) *bar {
	b := &bar{Processes: len(v.Processes(shot.Processes))}
	for _, q := range shot.visible(v) {
		b.Dead, b.Running, b.Ready = b.Dead+q.Dead, b.Running+q.Running, b.Ready+q.Ready
		b.MoreDead = b.MoreDead || q.More(q.Dead)
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

// snapshot returns what is known of the store, looked up anew if it is old; nil if nothing is. One request sees one snapshot only.
func (v *view) snapshot() *snapshot {
	shot, _ := v.needSnapshot()
	return shot
}

// needSnapshot is snapshot for pages that are nothing without one.
func (v *view) needSnapshot() (*snapshot, error) {
	if v.shot == nil && v.noShot == nil {
		v.shot, v.noShot = v.s.live.current(v.Context())
	}
	return v.shot, v.noShot
}
