//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/outboxdb"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/worker"
)

// settleWithin is how long the last jobs may take when the storm is over.
const settleWithin = time.Minute

// weather is a storm under way.
type weather struct {
	settings
	random  *rand.Rand
	db      *sql.DB
	box     *outbox.Outbox
	client  *bellhop.Client
	ledger  string
	freezes int
	started int

	mu   sync.Mutex
	runs map[bellhop.ID]int

	children map[*child]bool // the judge's own
	thaws    sync.WaitGroup
}

// child is a process of the storm.
type child struct {
	relay  bool
	cmd    *exec.Cmd
	leash  io.Closer // its standard input: it ends when this closes
	frozen chan struct{}
}

// storm runs a storm and judges it.
func storm(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	w := &weather{
		settings: s, random: s.random(), ledger: filepath.Join(s.folder, "ledger"), runs: map[bellhop.ID]int{}, children: map[*child]bool{},
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.client.Close(), w.db.Close()) }()
	fmt.Fprintf(s.out, "outbox storm: %d kills, from %s to %s, %d producers and %d relays, seed %d\n",
		s.kills, bellhop.MaskAddress(s.from), bellhop.MaskAddress(s.store), s.producer, s.relays, s.seed)
	defer w.killAll(true)

	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	worked := make(chan error, 1)
	go func() { worked <- w.work(working) }()
	began := time.Now()
	err = w.blow(ctx)
	blew := time.Since(began)
	if err == nil {
		err = w.settle(ctx)
	}
	stop()
	if err := errors.Join(err, <-worked); err != nil {
		return err
	}
	return w.judge(ctx, blew)
}

// prepare makes the tables, and opens the store.
func (w *weather) prepare(ctx context.Context) (err error) {
	var dialect outbox.Dialect
	if w.db, dialect, err = outboxdb.Open(w.from); err != nil {
		return err
	}
	if dialect == outbox.SQLite {
		if _, err := w.db.ExecContext(ctx, "pragma journal_mode = wal"); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if w.client, err = bellhop.Open(ctx, w.store, bellhop.Logger(log)); err != nil {
		return err
	}
	if w.box, err = outbox.New(w.client, dialect); err != nil {
		return err
	}
	if err := w.box.Create(ctx, w.db); err != nil {
		return err
	}
	_, err = w.db.ExecContext(ctx, "create table storm_orders (id char(36) primary key)")
	return err
}

// work runs the jobs and counts their runs.
func (w *weather) work(ctx context.Context) error {
	one := worker.New(w.client, worker.Config{Queues: worker.Queues{bellhop.DefaultQueue: 50}, Prune: time.Second})
	one.Handle(order.With(func(ctx context.Context, id string) error {
		if job := bellhop.FromContext(ctx).Job(); job.ID.String() != id {
			return fmt.Errorf("job %s has the arguments of %s", job.ID, id)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.runs[bellhop.FromContext(ctx).Job().ID]++
		return nil
	}))
	return one.Run(ctx)
}

// start begins a child process: this program again.
func (w *weather) start(relay bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(w.folder, "children.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), partVariable+"="+part{Relay: relay, From: w.from, Store: w.store, Ledger: w.ledger}.String())
	cmd.Stdout, cmd.Stderr = log, log
	leash, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a process: %w", err)
	}
	w.children[&child{relay: relay, cmd: cmd, leash: leash}] = true
	w.started++
	return nil
}

// fill starts what is missing.
func (w *weather) fill() error {
	missing := map[bool]int{true: w.relays, false: w.producer}
	for c := range w.children {
		missing[c.relay]--
	}
	for relay, n := range missing {
		for range n {
			if err := w.start(relay); err != nil {
				return err
			}
		}
	}
	return nil
}

// kill ends a process without a word.
func (w *weather) kill(c *child) {
	if c.frozen != nil {
		<-c.frozen
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	_ = c.leash.Close()
	delete(w.children, c)
}

// killAll kills the producers, and the relays as well if they are meant.
func (w *weather) killAll(relays bool) {
	for c := range w.children {
		if relays || !c.relay {
			w.kill(c)
		}
	}
	if relays {
		w.thaws.Wait()
	}
}

// blow produces and kills until the kills are done.
func (w *weather) blow(ctx context.Context) error {
	for blow, n := 0, 0; n < w.kills; blow++ {
		if err := w.fill(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration((0.2 + w.random.ExpFloat64()) * float64(w.gap))): // a random moment is the point
		}
		var targets []*child
		for c := range w.children {
			targets = append(targets, c)
		}
		w.random.Shuffle(len(targets), func(i, k int) { targets[i], targets[k] = targets[k], targets[i] })
		if w.freeze > 0 && blow%w.freeze == w.freeze/2 && w.stop(targets) {
			continue
		}
		w.kill(targets[0])
		if n++; n%20 == 0 {
			w.mu.Lock()
			ran := len(w.runs)
			w.mu.Unlock()
			fmt.Fprintf(w.out, "outbox storm: %d of %d kills, %d jobs ran\n", n, w.kills, ran)
		}
	}
	w.killAll(false)
	w.thaws.Wait()
	return w.fillRelays()
}

// fillRelays starts relays until there are as many as at the beginning.
func (w *weather) fillRelays() error {
	for n := len(w.children); n < w.relays; n++ {
		if err := w.start(true); err != nil {
			return err
		}
	}
	return nil
}

// stop stops one relay, wherever it stands, and lets it go on when others have long taken over.
func (w *weather) stop(targets []*child) bool {
	for _, c := range targets {
		if !c.relay || c.frozen != nil || c.cmd.Process.Signal(syscall.SIGSTOP) != nil {
			continue
		}
		c.frozen = make(chan struct{})
		w.freezes++
		pause := time.Duration(500+w.random.IntN(2000)) * time.Millisecond
		w.thaws.Go(func() {
			time.Sleep(pause) // so long it stands still
			_ = c.cmd.Process.Signal(syscall.SIGCONT)
			close(c.frozen)
		})
		return true
	}
	return false
}

// settle waits until the outbox is empty and no job is live.
func (w *weather) settle(ctx context.Context) error {
	live := bellhop.Filter{States: bellhop.States(bellhop.StateScheduled, bellhop.StateBlocked, bellhop.StateReady, bellhop.StateRunning)}
	for deadline := time.Now().Add(settleWithin); ; {
		s, err := w.box.Status(ctx, w.db)
		left := s.Waiting
		if err == nil && left == 0 {
			left, err = w.client.Count(ctx, live, 100_000)
		}
		switch {
		case err == nil && left == 0:
			return nil
		case ctx.Err() != nil || time.Now().After(deadline):
			return fmt.Errorf("%d jobs are not done %v after the storm: %w", left, settleWithin, errors.Join(err, context.Cause(ctx)))
		}
		time.Sleep(50 * time.Millisecond) // polled: the end of a move is told to nobody
	}
}
