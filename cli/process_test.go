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

// A signal that comes twice at once, as from a terminal and from what passes its signals on, cuts no drain short.
func TestSignalThatComesTwice(t *testing.T) {
	client, err := bell.NewClient(memory.New(), bell.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{
		a: &app{}, client: client, log: client.Logger(), within: time.Hour, echo: time.Hour,
		worker: worker.New(client, worker.Config{Queues: worker.Queues{"default": 1}, Shutdown: time.Hour}),
	}
	started, cut := make(chan struct{}), make(chan error, 1)
	release := make(chan struct{})
	slow := bell.Define[struct{}]("slow")
	p.worker.Handle(slow.With(func(ctx context.Context, _ struct{}) error {
		close(started)
		select {
		case <-ctx.Done():
			cut <- ctx.Err()
		case <-release:
		}
		return nil
	}))
	if _, err := slow.Enqueue(t.Context(), client, struct{}{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	signals, done := make(chan os.Signal), make(chan error, 1)
	go func() { done <- p.runUntil(ctx, nil, signals) }()
	<-started
	signals <- syscall.SIGINT
	cancel() // as the first signal does
	signals <- syscall.SIGINT
	signals <- syscall.SIGINT // is taken only when the one before has been dealt with
	close(release)
	if err := <-done; err != nil || len(cut) > 0 {
		t.Errorf("it ended with %v, the handler was cut short: %v", err, len(cut) > 0)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}
