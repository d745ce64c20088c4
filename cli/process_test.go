package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	bell "github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/worker"
)

// A handler that does not listen to its context cannot hold up the end that a second signal asks for.
func TestSecondSignalWithDeafHandler(t *testing.T) {
	client, err := bell.NewClient(memory.New(), bell.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		a: &app{}, client: client, log: client.Logger(), within: time.Hour,
		worker: worker.New(client, worker.Config{Queues: worker.Queues{"default": 1}, Shutdown: time.Hour}),
	}
	started, release := make(chan struct{}), make(chan struct{})
	deaf := bell.Define[struct{}]("deaf")
	p.worker.Handle(deaf.With(func(context.Context, struct{}) error {
		close(started)
		<-release
		return nil
	}))
	if _, err := deaf.Enqueue(t.Context(), client, struct{}{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	signals, done := make(chan os.Signal, 2), make(chan error, 1)
	go func() { done <- p.runUntil(ctx, nil, signals) }()
	<-started
	signals <- syscall.SIGTERM
	cancel() // as the first signal does
	signals <- syscall.SIGTERM
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "stopped at once") || !p.left {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("it did not end")
	}
	close(release)
}

// If the other part of the process fails, the worker drains and the process ends with that error.
func TestFailureOfOnePartEndsTheOther(t *testing.T) {
	client, err := bell.NewClient(memory.New(), bell.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		a: &app{}, client: client, log: client.Logger(), within: time.Second,
		worker: worker.New(client, worker.Config{Queues: worker.Queues{"default": 1}, Shutdown: time.Second}),
	}
	p.worker.Handle(bell.Define[struct{}]("none").With(func(context.Context, struct{}) error { return nil }))
	broken := errors.New("the network is gone")
	drained := make(chan struct{})
	err = p.runUntil(t.Context(), &part{
		run:   func() error { return broken },
		drain: func(context.Context) error { close(drained); return nil },
		kill:  func() {},
	}, nil)
	if !errors.Is(err, broken) {
		t.Errorf("it ended with %v", err)
	}
	<-drained
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}
