//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop"
)

const (
	// recoverWithin is the promise: work goes on so soon after a process died.
	recoverWithin = 30 * time.Second
	// settleWithin is how long the last jobs may take when the storm is over.
	settleWithin = 2 * time.Minute
	// slots is how many jobs a worker process runs at once.
	slots = 10
	// producers enqueue beside each other.
	producers = 3
)

// weather is a storm under way.
type weather struct {
	settings
	random   *rand.Rand
	client   *bellhop.Client
	children *children
	producer *producer
	ledger   string

	mu    sync.Mutex
	blows []*blow
	downs []outage
	wg    sync.WaitGroup // watchers of recoveries, and freezes
	ice   chan struct{}  // holds a token while a process is frozen
	dodge int            // freezes that had to be tried again, see freeze
	// keeper is spared while a process is frozen.
	keeper atomic.Pointer[child]
}

// storm runs a storm and judges it.
func storm(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if err := s.startServer(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.closeServer()) }()
	w := &weather{settings: s, random: s.random(), ledger: filepath.Join(s.folder, "ledger"), ice: make(chan struct{}, 1)}
	if w.client, err = bellhop.Open(ctx, s.store); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.client.Close()) }()
	fmt.Fprintf(s.out, "storm: %d kills, %d outages on %s with %d workers, beat %v, lease %v, sweep %v, seed %d\n",
		s.kills, s.outages, bellhop.MaskAddress(s.store), s.workers, s.times.Beat, s.times.Lease, s.times.Sweep, s.seed)
	w.children = &children{folder: s.folder, role: role{Store: s.store, Ledger: w.ledger, Slots: slots, Times: s.times}}
	defer w.children.killAll()
	for range s.workers {
		if _, err := w.children.start(); err != nil {
			return err
		}
	}
	began := time.Now()
	w.producer = &producer{client: w.client, jobs: map[bellhop.ID]accepted{}}
	if err := w.blowHard(ctx); err != nil {
		return err
	}
	w.wg.Wait() // frozen processes are thawed, and all recoveries seen
	blew := time.Since(began)
	if err := w.settle(ctx); err != nil {
		return err
	}
	revived, err := w.revive(ctx)
	if err != nil {
		return err
	}
	if err := w.children.drain(ctx, w.client.Store(), 30*time.Second); err != nil {
		return err
	}
	w.forget(ctx)
	return w.judge(ctx, blew, revived)
}

// forget waits until the store holds no process alive any more: one that was killed with no claims in hand counts as alive until its
// lease is over. Whether one is left is for the judge to see.
func (w *weather) forget(ctx context.Context) {
	for deadline := time.Now().Add(w.times.Lease + recoverWithin); time.Now().Before(deadline) && ctx.Err() == nil; {
		if list, err := w.client.Processes(ctx); err == nil && len(list) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond) // polled: the store tells nobody that a lease is over
	}
}

// blowHard produces and kills until the kills are done or the time is over.
func (w *weather) blowHard(ctx context.Context) error {
	producing, stop := context.WithCancel(ctx)
	failed := make(chan error, producers)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for n := range uint64(producers) {
		wg.Go(func() {
			if err := w.producer.run(producing, rand.New(rand.NewPCG(w.seed, 2+n))); err != nil {
				failed <- err
			}
		})
	}
	var over <-chan time.Time
	if w.limit > 0 {
		over = time.After(w.limit)
	}
	for n := range w.kills {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-failed:
			return err
		case <-over:
			return nil
		case <-time.After(time.Duration(w.random.ExpFloat64() * float64(w.gap))): // a random moment is the point
		}
		if err := w.children.crashed(); err != nil {
			return err
		}
		if err := w.strike(ctx, n); err != nil {
			return err
		}
		if (n+1)*w.outages/w.kills != n*w.outages/w.kills {
			if err := w.strikeServer(ctx); err != nil {
				return err
			}
		}
		if (n+1)%20 == 0 {
			fmt.Fprintf(w.out, "storm: %d of %d kills, %d jobs accepted\n", n+1, w.kills, len(w.producer.ids()))
		}
	}
	return nil
}

// strike kills or freezes one process, or kills all at once.
func (w *weather) strike(ctx context.Context, n int) error {
	var targets []*child
	for _, k := range w.children.list() {
		if !k.frozen.Load() && k != w.keeper.Load() {
			targets = append(targets, k)
		}
	}
	if len(targets) == 0 {
		return errors.New("there is no process left to kill")
	}
	target := targets[w.random.IntN(len(targets))]
	switch pick := w.random.IntN(100); {
	case w.freezes > 0 && n%w.freezes == w.freezes/2 && len(targets) > 2 && w.freeze(ctx, targets):
		return nil
	case pick < 5: // all that can be
		for _, k := range targets {
			w.kill(ctx, k)
		}
	default:
		w.kill(ctx, target)
		if pick < 25 && len(targets) > 1 { // those who live take over for a while
			time.Sleep(time.Duration(w.random.Int64N(int64(w.gap)))) // a random moment is the point
		}
	}
	for alive := len(w.children.list()); alive < w.workers; alive++ {
		if _, err := w.children.start(); err != nil {
			return err
		}
	}
	return nil
}

// kill ends one process without a word, and watches who takes its claims back.
func (w *weather) kill(ctx context.Context, k *child) {
	id, _ := incarnation(ctx, w.client.Store(), k.pid) // without an id it had not begun
	b := &blow{pid: k.pid, at: time.Now()}
	w.children.kill(k)
	b.until = time.Now() // on a busy machine it may have begun a run after we decided to kill it
	w.note(b)
	w.watch(ctx, b, id)
}

func (w *weather) note(b *blow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blows = append(w.blows, b)
}

// watch measures how long it takes until nothing is held in a dead process's name.
func (w *weather) watch(ctx context.Context, b *blow, id bellhop.ID) {
	if id.IsZero() {
		return
	}
	held := func() int {
		n, err := w.client.Count(ctx, bellhop.Filter{States: bellhop.States(bellhop.StateRunning), Process: id}, 1000)
		if err != nil {
			return -1
		}
		return n
	}
	b.held = held()
	w.wg.Go(func() {
		for {
			n := held()
			b.held = max(b.held, n)
			if n == 0 || ctx.Err() != nil || time.Since(b.at) > 2*recoverWithin {
				b.back = time.Since(b.at)
				return
			}
			time.Sleep(20 * time.Millisecond) // polled: the store tells nobody of a sweep
		}
	})
}

// freeze stops the first of the targets for longer than its lease, and lets it
// go on. One freeze at a time. The second is spared meanwhile: silence is
// noticed only by somebody who lives for as long as a lease. A process may be stopped just as it holds a lock of the
// store, so that nobody can write until it goes on; that is not what is to be
// tested here, so it is let go and stopped again a little later.
func (w *weather) freeze(ctx context.Context, targets []*child) bool {
	w.random.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	k := targets[0]
	select {
	case w.ice <- struct{}{}:
	default:
		return false
	}
	id, err := incarnation(ctx, w.client.Store(), k.pid)
	if err != nil || id.IsZero() {
		<-w.ice
		return false
	}
	b := &blow{pid: k.pid, frozen: true}
	for {
		b.at = time.Now()
		if err := k.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			<-w.ice
			return false
		}
		if w.writable(ctx) {
			break
		}
		_ = k.cmd.Process.Signal(syscall.SIGCONT)
		if ctx.Err() != nil { // the storm is called off
			<-w.ice
			return false
		}
		w.dodge++
		time.Sleep(time.Duration(1+w.random.IntN(30)) * time.Millisecond) // a random moment is the point
	}
	k.frozen.Store(true)
	w.keeper.Store(targets[1])
	w.note(b)
	w.watch(ctx, b, id)
	thaw := w.times.Lease + 2*w.times.Sweep + time.Duration(w.random.Int64N(int64(w.times.Lease)/4+1))
	w.wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-time.After(thaw):
		}
		b.until = time.Now()
		_ = k.cmd.Process.Signal(syscall.SIGCONT)
		// It is spared until it has noticed.
		time.Sleep(2 * w.times.Beat) // a beat tells it
		k.frozen.Store(false)
		w.keeper.Store(nil)
		<-w.ice
	})
	return true
}

// writable reports whether the store takes a write.
func (w *weather) writable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return w.client.Store().Put(ctx, []bellhop.RecordWrite{{Space: "storm", Key: "probe", Expect: bellhop.ExpectAny}}) == nil
}

// settle waits until every accepted job is final.
func (w *weather) settle(ctx context.Context) error {
	deadline := time.Now().Add(settleWithin)
	live := bellhop.Filter{States: bellhop.States(bellhop.StateScheduled, bellhop.StateBlocked, bellhop.StateReady, bellhop.StateRunning)}
	for {
		n, err := w.client.Count(ctx, live, 100_000)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err == nil && n == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d jobs are not done %v after the storm", n, settleWithin)
		}
		if err := w.children.crashed(); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond) // polled: the end of a job is told to its own process only
	}
}
