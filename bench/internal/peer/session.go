package peer

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

// Args are what each job carries.
type Args struct {
	N    int    `json:"n"`
	Text string `json:"text"`
}

// Base is added to the numbers of jobs in their arguments, so that these are 48 bytes long whatever the number.
const Base = 1_000_000_000

func argsOf(number int) Args { return Args{N: Base + number, Text: drill.Text} }

// Session is one contender at work on one store.
type Session interface {
	// Enqueue hands over one job; it is durable, as far as the store is, on return.
	Enqueue(ctx context.Context, number int) error
	// EnqueueBulk hands over n jobs in one call.
	EnqueueBulk(ctx context.Context, first, n int) error
	// Work starts to work jobs; stop ends it gracefully.
	Work(ctx context.Context, run func(number int)) (stop func() error, err error)
	// Left counts jobs that are running, or waiting where that is as cheap; 0 once all are finished in the store.
	Left(ctx context.Context) (int, error)
	// Check counts jobs that wait to be worked, and finished ones that are kept.
	Check(ctx context.Context) (waiting, kept int, err error)
	// Close ends the session.
	Close() error
}

// Marker is a session that can put jobs that are not to be worked: the marks of [drill.Order].
type Marker interface {
	EnqueueMarked(ctx context.Context, mark string, first, n int) error
}

// Ledger notes which jobs have run, and knows when all have.
type Ledger struct {
	first   int
	runs    []atomic.Int32
	ran     atomic.Int64
	want    int64
	doubled atomic.Int64
	strange atomic.Int64
	all     chan struct{}
}

// NewLedger expects want jobs out of n that are numbered from first.
func NewLedger(first, n, want int) *Ledger {
	return &Ledger{first: first, runs: make([]atomic.Int32, n), want: int64(want), all: make(chan struct{})}
}

// Run notes one run of a job.
func (l *Ledger) Run(number int) {
	i := number - l.first
	if i < 0 || i >= len(l.runs) {
		l.strange.Add(1)
		return
	}
	if l.runs[i].Add(1) > 1 {
		l.doubled.Add(1)
		return
	}
	if l.ran.Add(1) == l.want {
		close(l.all)
	}
}

// judge fills in what the ledger says about a number of jobs that had to run.
func (l *Ledger) judge(r *drill.Reply, jobs int) {
	r.Lost, r.Doubled = max(jobs-int(l.ran.Load()), 0), int(l.doubled.Load())
	if n := l.strange.Load(); n > 0 {
		r.Fault = fmt.Sprintf("%d runs of jobs that were never enqueued", n)
	}
}
