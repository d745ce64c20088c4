package sqlite

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func mustGate(t *testing.T, folder string) *gate {
	t.Helper()
	g, err := newGate(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	return g
}

// deadline is when a test is taken to hang. It measures nothing.
const deadline = 5 * time.Minute

// One process at a time is through; here two gates stand for two processes.
func TestGateBetweenProcesses(t *testing.T) {
	folder := t.TempDir()
	a, b := mustGate(t, folder), mustGate(t, folder)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := a.Enter(ctx); err != nil {
		t.Fatal(err)
	}
	if b.tryEnter() {
		t.Fatal("both are through")
	}
	through := make(chan error)
	go func() { through <- b.Enter(ctx) }()
	select {
	case err := <-through:
		t.Fatalf("both are through, %v", err)
	case <-time.After(50 * time.Millisecond): // nothing tells that somebody still waits
	}
	a.Leave()
	if err := <-through; err != nil {
		t.Fatal(err)
	}
	b.Leave()
}

// Who gives up waiting leaves nothing behind: neither does the lock stay taken,
// nor does the next caller wait for nothing.
func TestGateGivenUp(t *testing.T) {
	folder := t.TempDir()
	a, b := mustGate(t, folder), mustGate(t, folder)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for round := range 200 {
		if err := a.Enter(ctx); err != nil {
			t.Fatal(err)
		}
		short, end := context.WithTimeout(ctx, time.Duration(round)*10*time.Microsecond)
		free := make(chan struct{})
		go func() {
			defer close(free)
			if round%2 == 0 {
				<-short.Done()
			}
			a.Leave()
		}()
		switch err := b.Enter(short); {
		case err == nil:
			b.Leave()
		case !errors.Is(err, context.DeadlineExceeded):
			t.Fatal(err)
		}
		end()
		<-free
		if round%3 == 0 { // the wait that was given up serves the next caller
			if err := b.Enter(ctx); err != nil {
				t.Fatal(err)
			}
			b.Leave()
		}
	}
}

// A process that always has something to write does not keep another out.
func TestGateIsFair(t *testing.T) {
	folder := t.TempDir()
	greedy, modest := mustGate(t, folder), mustGate(t, folder)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	stop, stopped, started := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		began := sync.OnceFunc(func() { close(started) })
		for {
			select {
			case <-stop:
				return
			default:
			}
			if greedy.Enter(ctx) != nil {
				return
			}
			began()
			greedy.Leave()
		}
	}()
	<-started
	const turns = 50
	for range turns {
		if err := modest.Enter(ctx); err != nil {
			t.Fatalf("the modest one starves: %v", err)
		}
		modest.Leave()
	}
	close(stop)
	<-stopped
}

// Within one process callers go through in the order in which they came.
func TestGateWithinProcess(t *testing.T) {
	g := newInnerGate()
	if err := g.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.tryEnter() {
		t.Fatal("two are through")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Enter(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	g.Leave()
	if !g.tryEnter() {
		t.Fatal("nobody is through and nobody gets through")
	}
	g.Leave()
}
