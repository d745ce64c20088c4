// Package control is what people tell running workers from elsewhere: a process that is to take no more jobs, and how many jobs of a
// queue are to run at once in each process. It is kept in small records, which every worker reads every third beat, fifteen seconds by default, and obeys; no job passes
// through here.
//
// A process that is drained claims nothing more, hands back what has not started, and lets run what runs, without a limit of time. It
// stays, alive and to be seen, until it is shut down or the drain is taken back: whoever drains a process wants to look at its machine
// or to stop it, and a supervisor would start one that ends by itself anew.
package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
)

// Space is the space of the records.
const Space = "control"

const (
	// drainFor is how long a drain is kept; after that its process is long gone.
	drainFor       = 30 * 24 * time.Hour
	maxConcurrency = 100_000
)

// Order is one thing that was told: by whom and when, and for a queue how many of its jobs are to run at once.
type Order struct {
	By          string    `json:"by"`
	At          time.Time `json:"at"`
	Concurrency int       `json:"concurrency,omitempty"`
}

// State is what is in force.
type State struct {
	Drained map[bellhop.ID]Order // processes that are to take no more jobs
	Queues  map[string]Order     // queues whose concurrency was set
}

// Drains reports whether a process is to take no more jobs.
func (s *State) Drains(process bellhop.ID) bool { _, is := s.Drained[process]; return is }

// Concurrency returns how many jobs of a queue are to run at once in each process; 0 if each goes by its own settings.
func (s *State) Concurrency(queue string) int { return s.Queues[queue].Concurrency }

// Process is a process as lists show it, with what it was told.
type Process struct {
	bellhop.ProcessStatus
	// Drained says that it was told to take no more jobs, by DrainedBy at DrainedAt.
	Drained   bool      `json:"drained"`
	DrainedBy string    `json:"drained_by,omitempty"`
	DrainedAt time.Time `json:"drained_at,omitzero"`
}

// Process returns a process with what it was told.
func (s *State) Process(p bellhop.ProcessStatus) Process {
	o, drained := s.Drained[p.ID]
	return Process{p, drained, o.By, o.At}
}

const (
	processKey = "process/"
	queueKey   = "queue/"
)

// Read returns all that is in force.
func Read(ctx context.Context, store bellhop.Store) (*State, error) {
	s := newState()
	for q := (&bellhop.RecordQuery{Space: Space, Limit: 1000}); ; {
		records, err := store.Records(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("control: %w", err)
		}
		s.add(records)
		if len(records) < q.Limit {
			return s, nil
		}
		q.After = records[len(records)-1].Key
	}
}

// For returns what is in force for a process and some queues: one call, however much there is for others.
func For(ctx context.Context, store bellhop.Store, process bellhop.ID, queues []string) (*State, error) {
	keys := []string{processKey + process.String()}
	for _, name := range queues {
		keys = append(keys, queueKey+name)
	}
	records, err := store.Records(ctx, &bellhop.RecordQuery{Space: Space, Keys: keys, Limit: len(keys)})
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	s := newState()
	s.add(records)
	return s, nil
}

func newState() *State { return &State{Drained: map[bellhop.ID]Order{}, Queues: map[string]Order{}} }

// add takes in records. One that cannot be read is of a later version, and says nothing to this one.
func (s *State) add(records []bellhop.Record) {
	for _, r := range records {
		var o Order
		if json.Unmarshal(r.Value, &o) != nil {
			continue
		}
		switch {
		case len(r.Key) > len(queueKey) && r.Key[:len(queueKey)] == queueKey:
			if o.Concurrency > 0 {
				s.Queues[r.Key[len(queueKey):]] = o
			}
		case len(r.Key) > len(processKey) && r.Key[:len(processKey)] == processKey:
			if id, err := bellhop.ParseID(r.Key[len(processKey):]); err == nil {
				s.Drained[id] = o
			}
		}
	}
}

// Drain tells a process to take no more jobs. by says who wants it. If the store does not hold the process alive, the error matches
// [bellhop.ErrNotFound].
func Drain(ctx context.Context, store bellhop.Store, process bellhop.ID, by string) error {
	alive, err := store.Processes(ctx)
	if err != nil {
		return fmt.Errorf("control: drain: %w", err)
	}
	for i := range alive {
		if alive[i].ID == process {
			return put(ctx, store, processKey+process.String(), Order{By: by}, drainFor)
		}
	}
	return notAlive(process)
}

// notAlive says that a process is not there to be drained.
type notAlive bellhop.ID

func (id notAlive) Error() string {
	return fmt.Sprintf("there is no living process %s: look for its id among those that live", bellhop.ID(id))
}

// Is matches [bellhop.ErrNotFound].
func (id notAlive) Is(target error) bool { return target == bellhop.ErrNotFound }

// Undrain takes a drain back: the process takes jobs again.
func Undrain(ctx context.Context, store bellhop.Store, process bellhop.ID) error {
	return remove(ctx, store, processKey+process.String())
}

// SetConcurrency says how many jobs of a queue are to run at once in each process that works it, from 1 to 100,000; 0 leaves that to
// their own settings again. A number out of range is a [*bellhop.InvalidError].
func SetConcurrency(ctx context.Context, store bellhop.Store, queue string, n int, by string) error {
	if err := bellhop.CheckName("queue", queue); err != nil {
		return &bellhop.InvalidError{Index: -1, Field: "queue", Reason: err.Error()}
	}
	if n < 0 || n > maxConcurrency {
		return &bellhop.InvalidError{Index: -1, Field: "concurrency", Reason: fmt.Sprintf("%d is out of range: want 1 to %d, or 0 for what each process has set", n, maxConcurrency)}
	}
	if n == 0 {
		return remove(ctx, store, queueKey+queue)
	}
	return put(ctx, store, queueKey+queue, Order{By: by, Concurrency: n}, 0)
}

func put(ctx context.Context, store bellhop.Store, key string, o Order, ttl time.Duration) error {
	now, err := store.Ping(ctx)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	o.At, o.By = now, bellhop.CleanText(o.By, 200)
	value, err := json.Marshal(o)
	if err != nil { // a text, a number and a time of the store always encode
		return fmt.Errorf("control: %w", err)
	}
	err = store.Put(ctx, []bellhop.RecordWrite{{Space: Space, Key: key, Value: value, Expect: bellhop.ExpectAny, TTL: ttl}})
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

func remove(ctx context.Context, store bellhop.Store, key string) error {
	err := store.Put(ctx, []bellhop.RecordWrite{{Space: Space, Key: key, Expect: bellhop.ExpectAny, Delete: true}})
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}
