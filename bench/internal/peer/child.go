package peer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

// Variables of the environment that make a process a child: the [drill.Order], and the name of the store.
const (
	OrderVariable = "BELLHOP_BENCH_ORDER"
	StoreVariable = "BELLHOP_BENCH_STORE"
	// FolderVariable holds the folder of the benchmark's module, empty for the current one.
	FolderVariable = "BELLHOP_BENCH_FOLDER"
)

// stallTime is how long no job may finish before a run is given up.
const stallTime = 40 * time.Second

// Child carries out the order in the environment and reports true, or returns false at once if there is none.
func Child(in io.Reader, out io.Writer) bool {
	text, there := os.LookupEnv(OrderVariable)
	if !there {
		return false
	}
	c := &child{in: bufio.NewReader(in), out: json.NewEncoder(out)}
	err := json.Unmarshal([]byte(text), &c.order)
	if err == nil {
		err = c.carryOut(context.Background(), os.Getenv(StoreVariable))
	}
	if err != nil {
		c.reply = drill.Reply{Fault: err.Error()}
	}
	_ = c.out.Encode(c.reply)
	return true
}

type child struct {
	in        *bufio.Reader
	out       *json.Encoder
	order     drill.Order
	contender Contender
	session   Session
	reply     drill.Reply

	began   time.Time
	cpu     float64
	allocs  uint64
	written int64
}

func (c *child) carryOut(ctx context.Context, store string) (err error) {
	contender, known := Find(store, c.order.Contender)
	if !known || contender.Open == nil {
		return fmt.Errorf("there is no contender %s on %s", c.order.Contender, store)
	}
	c.contender = contender
	if c.session, err = contender.Open(ctx, c.order); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.session.Close()) }()
	switch c.order.Action {
	case drill.Fill:
		return c.fill(ctx)
	case drill.Enqueue:
		return c.enqueue(ctx, c.order.Callers, 1)
	case drill.Bulk:
		return c.enqueue(ctx, contender.BulkCallers, contender.BulkSize)
	case drill.Drain:
		return c.drain(ctx)
	case drill.Sustain:
		return c.sustain(ctx)
	case drill.Latency:
		return c.latency(ctx)
	case drill.Across:
		return c.across(ctx)
	case drill.Send:
		return c.send(ctx)
	case drill.Worker:
		if err := c.put(ctx); err != nil {
			return err
		}
		return c.drain(ctx)
	}
	return fmt.Errorf("unknown action %q", c.order.Action)
}

// start says that all is ready, waits for the word, and starts the clock.
func (c *child) start() error {
	runtime.GC()
	debug.FreeOSMemory()
	if err := c.out.Encode(drill.Reply{Ready: true}); err != nil {
		return err
	}
	if _, err := c.in.ReadString('\n'); err != nil {
		return fmt.Errorf("waiting for the word to start: %w", err)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	c.allocs, c.written, c.cpu, c.began = mem.Mallocs, written(), cpuTime(), time.Now()
	return nil
}

// end stops the clock.
func (c *child) end(jobs int) error {
	r := &c.reply
	r.Jobs, r.Seconds, r.CPU = jobs, time.Since(c.began).Seconds(), cpuTime()-c.cpu
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	r.Allocs, r.Written, r.Peak = mem.Mallocs-c.allocs, written()-c.written, peakMemory()
	if err := c.out.Encode(drill.Reply{Mark: true}); err != nil {
		return err
	}
	_, err := c.in.ReadString('\n') // the server's counters have been read
	return err
}

func (c *child) fill(ctx context.Context) error {
	if err := c.start(); err != nil {
		return err
	}
	if err := c.put(ctx); err != nil {
		return err
	}
	return c.end(c.order.Jobs)
}

// put enqueues the jobs of the order from as many goroutines and in as large calls as suit the contender.
func (c *child) put(ctx context.Context) error {
	many := c.session.EnqueueBulk
	if c.order.Mark != "" {
		m, able := c.session.(Marker)
		if !able {
			return fmt.Errorf("%s cannot put %s jobs", c.contender.Title, c.order.Mark)
		}
		many = func(ctx context.Context, first, n int) error { return m.EnqueueMarked(ctx, c.order.Mark, first, n) }
	}
	var next atomic.Int64
	size := int64(c.contender.BulkSize)
	return crew(max(c.contender.BulkCallers, 1), func() error {
		for {
			from := next.Add(size) - size
			if from >= int64(c.order.Jobs) {
				return nil
			}
			if err := many(ctx, c.order.First+int(from), int(min(size, int64(c.order.Jobs)-from))); err != nil {
				return err
			}
		}
	})
}

// enqueue measures calls of size jobs from a number of goroutines, then counts what the store has.
func (c *child) enqueue(ctx context.Context, callers, size int) error {
	if err := c.start(); err != nil {
		return err
	}
	made, err := c.produce(ctx, callers, size, c.order.Seconds, nil)
	if err != nil {
		return err
	}
	if err := c.end(made); err != nil {
		return err
	}
	waiting, _, err := c.session.Check(ctx)
	c.reply.Lost, c.reply.Doubled = max(made-waiting, 0), max(waiting-made, 0)
	return err
}

// produce enqueues from a number of goroutines for a time; pace, if given, is asked before each call. The numbers made are the
// order's First and up, without a gap: a number is drawn only for a call that is then made.
func (c *child) produce(ctx context.Context, callers, size int, seconds float64, pace func()) (int, error) {
	var next atomic.Int64
	deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	err := crew(callers, func() error {
		for time.Now().Before(deadline) {
			if pace != nil {
				pace()
			}
			first := c.order.First + int(next.Add(int64(size))) - size
			var err error
			if size == 1 {
				err = c.session.Enqueue(ctx, first)
			} else {
				err = c.session.EnqueueBulk(ctx, first, size)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return int(next.Load()), err
}

// drain measures how long jobs that are there take to be worked, from the start of the worker to the last completion in the store.
func (c *child) drain(ctx context.Context) error {
	partly := c.order.Backlog > 0 || c.order.Limit > 0
	ledger := NewLedger(c.order.First, max(c.order.Jobs, c.order.Backlog), c.order.Jobs)
	if err := c.start(); err != nil {
		return err
	}
	stop, err := c.session.Work(ctx, ledger.Run)
	if err != nil {
		return err
	}
	if err := c.await(ctx, ledger, !partly); err != nil {
		_ = stop()
		return err
	}
	jobs := c.order.Jobs
	if c.order.Limit > 0 {
		jobs = min(jobs, int(ledger.ran.Load()))
	}
	if err := c.end(jobs); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	ledger.judge(&c.reply, jobs)
	if partly {
		return nil
	}
	return c.check(ctx, c.order.Jobs)
}

// check compares what the store has with what it should have after n jobs were worked.
func (c *child) check(ctx context.Context, n int) error {
	waiting, kept, err := c.session.Check(ctx)
	if err != nil {
		return err
	}
	if waiting > 0 {
		return fmt.Errorf("%d jobs are left in the store though each has run", waiting)
	}
	if want := n + c.order.Worked; c.contender.Keeps && kept != want {
		return fmt.Errorf("the store keeps %d finished jobs, want %d", kept, want)
	}
	return nil
}

// await waits until all jobs have run, and with settle until the store knows that as well.
func (c *child) await(ctx context.Context, ledger *Ledger, settle bool) error {
	ran, since := int64(-1), time.Now()
	var limit <-chan time.Time
	if c.order.Limit > 0 {
		limit = time.After(time.Duration(c.order.Limit * float64(time.Second)))
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-ledger.all:
			waiting = false
		case <-limit:
			waiting = false
		case <-tick.C:
			if now := ledger.ran.Load(); now != ran {
				ran, since = now, time.Now()
			} else if time.Since(since) > stallTime {
				return fmt.Errorf("stalled: %d of %d jobs have run, and no more in %v", ran, ledger.want, stallTime)
			}
		}
	}
	for settle {
		left, err := c.session.Left(ctx)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
		if time.Since(since) > 2*stallTime {
			return fmt.Errorf("%d jobs have run but are not finished in the store", left)
		}
		time.Sleep(500 * time.Microsecond) // the store is asked again and again: there is nobody who would tell
	}
	return nil
}

// sustainedAhead is how many jobs the producers may be ahead of the worker.
const sustainedAhead = 1000

// sustain measures enqueueing and working at once: jobs from the first enqueue to the last completion.
func (c *child) sustain(ctx context.Context) error {
	const room = 1 << 20 // more than anybody makes in the time
	ledger := NewLedger(c.order.First, room, room)
	if err := c.start(); err != nil {
		return err
	}
	stop, err := c.session.Work(ctx, ledger.Run)
	if err != nil {
		return err
	}
	var made atomic.Int64
	n, err := c.produce(ctx, c.order.Callers, 1, c.order.Seconds, func() {
		for made.Load()-ledger.ran.Load() > sustainedAhead {
			time.Sleep(200 * time.Microsecond) // producers hold back while the worker is behind
		}
		made.Add(1)
	})
	if err != nil {
		return errors.Join(err, stop())
	}
	for end := time.Now().Add(stallTime); ledger.ran.Load() < int64(n) && time.Now().Before(end); {
		time.Sleep(200 * time.Microsecond) // the last jobs are under way
	}
	close(ledger.all)
	if err := c.await(ctx, ledger, true); err != nil {
		return errors.Join(err, stop())
	}
	if err := c.end(n); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	ledger.judge(&c.reply, n)
	return c.check(ctx, n)
}

// latency measures the time from before an enqueue to the handler on a system that is otherwise idle, one job every 10 ms.
func (c *child) latency(ctx context.Context) error {
	n := c.order.Jobs
	ledger := NewLedger(c.order.First, n, n)
	sent, took := make([]atomic.Int64, n), make([]int64, n) // by number; only the first run of a job writes
	zero := time.Now()
	stop, err := c.session.Work(ctx, func(number int) {
		now := time.Since(zero)
		if i := number - c.order.First; i >= 0 && i < n {
			if from := sent[i].Swap(0); from > 0 {
				took[i] = max((now - time.Duration(from)).Microseconds(), 1)
			}
		}
		ledger.Run(number)
	})
	if err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond) // the worker comes to rest
	if err := c.start(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	failed := make(chan error, n)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		sent[i].Store(int64(time.Since(zero)))
		wg.Go(func() {
			if err := c.session.Enqueue(ctx, c.order.First+i); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return errors.Join(err, stop())
	default:
	}
	if err := c.await(ctx, ledger, true); err != nil {
		return errors.Join(err, stop())
	}
	if err := c.end(n); err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	c.reply.Latencies = took
	ledger.judge(&c.reply, n)
	return c.check(ctx, n)
}

// crew runs fn in n goroutines and returns the first error.
func crew(n int, fn func() error) error {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		wg.Go(func() {
			if err := fn(); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}
