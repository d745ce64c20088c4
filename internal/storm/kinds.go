//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
	_ "github.com/gobellhop/bellhop/store/all" // the default store
	"github.com/gobellhop/bellhop/worker"
)

// work is what all jobs of the storm are told.
type work struct {
	N      int           `json:"n"`
	Takes  time.Duration `json:"takes"`  // how long the handler works
	Fails  int           `json:"fails"`  // how often it fails before it succeeds
	Chain  bool          `json:"chain"`  // it enqueues another job
	Ending string        `json:"ending"` // "dead", "discard", or empty for success
	Poison bool          `json:"poison"` // it kills its process
}

// Two queues, so that a worker has more than one thing to weigh. Retries are
// quick, since the storm is short.
var (
	plain  = bellhop.Define[work]("storm.plain", bellhop.Queue("plain"), bellhop.RetryBackoff(bellhop.Fixed(200*time.Millisecond)))
	second = bellhop.Define[work]("storm.second", bellhop.Queue("second"), bellhop.RetryBackoff(bellhop.Fixed(200*time.Millisecond)))
)

// childID is the id of the job that a job enqueues: the same however often it runs.
func childID(parent bellhop.ID) bellhop.ID {
	return bellhop.IDFromKey("storm child", parent.String())
}

var errMeant = errors.New("this attempt is meant to fail")

// handler does the work and writes it down.
func (l *ledger) handler(ctx context.Context, v work) error {
	r := bellhop.FromContext(ctx)
	id, claim, attempt := r.Job().ID, r.Token().Number, r.Attempt()
	l.add(lineStart, id, claim, attempt)
	if v.Poison {
		os.Exit(137)
	}
	if v.Takes > 0 {
		timer := time.NewTimer(v.Takes)
		defer timer.Stop()
		r.SetProgress(0, 1, "working")
		select {
		case <-ctx.Done():
			l.add(lineCut, id, claim, attempt)
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
	// A sweep counts as a failure too, so that failures are no more than a lower bound.
	if r.Failures() < v.Fails {
		l.add(lineFail, id, claim, attempt)
		return errMeant
	}
	if v.Chain {
		_, err := plain.Enqueue(ctx, r.Client(), work{N: v.N}, bellhop.WithID(childID(id)))
		if err != nil {
			l.add(lineFail, id, claim, attempt)
			return fmt.Errorf("enqueue the next: %w", err)
		}
	}
	l.add(lineDone, id, claim, attempt)
	switch v.Ending {
	case "dead":
		return bellhop.Dead(errMeant)
	case "discard":
		return bellhop.Discard(errMeant)
	}
	return r.SetResult(claim)
}

// workerMain is the life of a worker process.
func workerMain(text string) int {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		fmt.Fprintln(os.Stderr, "storm: the role is not readable:", err)
		return 2
	}
	ledger, err := openLedger(r.Ledger)
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm: open the ledger:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { // the judge holds the other end: when it dies, so do we
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(4)
	}()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	client, err := bellhop.Open(ctx, r.Store, bellhop.Logger(log), bellhop.OnEvent(func(e bellhop.Event) {
		if e.Stale {
			ledger.add(lineStale, e.JobID, e.Claim, 0)
		}
	}))
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		return 2
	}
	w := worker.New(client, worker.Config{
		Queues: worker.Queues{"plain": r.Slots, "second": r.Slots / 2}, Slots: r.Slots,
		Beat: r.Times.Beat, Lease: r.Times.Lease, Sweep: r.Times.Sweep,
	})
	w.Handle(plain.With(ledger.handler), second.With(ledger.handler))
	err = errors.Join(w.Run(ctx), client.Close())
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		return 1
	}
	return 0
}
