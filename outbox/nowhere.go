package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
)

// NewClient returns a client for programs that enqueue through an outbox and are not to depend on the store: it holds options,
// as those of [bellhop.Open] do, and has no connection to anything. Whatever is asked of it but to enqueue through an
// outbox is refused with [bellhop.ErrUnsupported].
func NewClient(opts ...bellhop.Option) (*bellhop.Client, error) {
	return bellhop.NewClient(nowhere{}, opts...)
}

// nowhere is a store that is not there.
type nowhere struct{}

func no(op bellhop.Op) error {
	return fmt.Errorf("%s: this client has no store, it only enqueues through an outbox: %w", op, bellhop.ErrUnsupported)
}

func (nowhere) Enqueue(context.Context, *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	return nil, no(bellhop.OpEnqueue)
}

func (nowhere) Exchange(context.Context, *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
	return nil, no(bellhop.OpExchange)
}

func (nowhere) Report(context.Context, []bellhop.Report) ([]bellhop.Refusal, error) {
	return nil, no(bellhop.OpReport)
}

func (nowhere) Beat(context.Context, *bellhop.Beat) (*bellhop.BeatReply, error) {
	return nil, no(bellhop.OpBeat)
}

func (nowhere) Sweep(context.Context, int) ([]bellhop.Claim, error) { return nil, no(bellhop.OpSweep) }

func (nowhere) Promote(context.Context, int) (int, time.Duration, error) {
	return 0, 0, no(bellhop.OpPromote)
}

func (nowhere) Prune(context.Context, int) (int, error) { return 0, no(bellhop.OpPrune) }

func (nowhere) Act(context.Context, *bellhop.ActRequest) (*bellhop.ActReply, error) {
	return nil, no(bellhop.OpAct)
}

func (nowhere) Get(context.Context, []bellhop.ID) ([]bellhop.Snapshot, error) {
	return nil, no(bellhop.OpGet)
}

func (nowhere) List(context.Context, *bellhop.Query) (*bellhop.Listing, error) {
	return nil, no(bellhop.OpList)
}

func (nowhere) Count(context.Context, *bellhop.Query) (*bellhop.Counted, error) {
	return nil, no(bellhop.OpCount)
}

func (nowhere) Stats(context.Context, int) ([]bellhop.QueueStats, error) {
	return nil, no(bellhop.OpStats)
}

func (nowhere) Processes(context.Context) ([]bellhop.ProcessStatus, error) {
	return nil, no(bellhop.OpProcesses)
}

func (nowhere) Pause(context.Context, string, bool) error { return no(bellhop.OpPause) }

func (nowhere) Records(context.Context, *bellhop.RecordQuery) ([]bellhop.Record, error) {
	return nil, no(bellhop.OpRecords)
}

func (nowhere) Put(context.Context, []bellhop.RecordWrite) error { return no(bellhop.OpPut) }

func (nowhere) Ping(context.Context) (time.Time, error) { return time.Time{}, no(bellhop.OpPing) }

func (nowhere) Capabilities() bellhop.Capabilities {
	return bellhop.Capabilities{Name: "outbox", Durability: "as the transaction of the caller"}
}

func (nowhere) Close() error { return nil }
