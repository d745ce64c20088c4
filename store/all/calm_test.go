package all_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	_ "github.com/gobellhop/bellhop/store/all"
	"github.com/gobellhop/bellhop/store/storetest"
	"github.com/gobellhop/bellhop/worker"
)

func TestMain(m *testing.M) { testservers.Main(m) }

// addresses are where fifty workers meet, by what is under test.
var addresses = map[string]func(t *testing.T) string{
	"sqlite": func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "jobs.db") },
	"postgres": func(t *testing.T) string {
		return testservers.With(testservers.Postgres(t).Database(t), "migrate", "auto", "pool_max_conns", "3")
	},
	"mysql": func(t *testing.T) string {
		return testservers.With(testservers.MariaDB(t).Database(t), "migrate", "auto", "connections", "3")
	},
	"redis": func(t *testing.T) string {
		return testservers.With(testservers.Redis(t).Address, "namespace", "calm-"+bellhop.NewID().String())
	},
	"partition": func(t *testing.T) string {
		type part struct {
			Name    string `json:"name"`
			Address string `json:"address"`
		}
		var parts []part
		for _, name := range []string{"a", "b", "c"} {
			parts = append(parts, part{name, testservers.With(testservers.Redis(t).Address, "namespace", "calm-"+bellhop.NewID().String())})
		}
		text, err := json.Marshal(map[string]any{"by": "key", "parts": parts})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "parts.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return "partition:" + path
	},
}

// tally counts the calls to the stores of all workers, and the jobs that each has run.
type tally struct {
	mu    sync.Mutex
	calls map[bellhop.Op]int
	ran   map[int]int // by worker
}

func (y *tally) count(op bellhop.Op) time.Duration {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.calls[op]++
	return 0
}

// read returns the calls of all operations, the exchanges, the jobs, and the workers that have run any.
func (y *tally) read() (all, exchanges, jobs, workers int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, n := range y.calls {
		all += n
	}
	for _, n := range y.ran {
		jobs += n
	}
	return all, y.calls[bellhop.OpExchange], jobs, len(y.ran)
}

type nothing struct{}

var job = bellhop.Define[nothing]("test.calm")

// TestFiftyWorkersOnOneStore: fifty workers, each through a store that it has opened
// for itself as a process does, make at most two calls a second each while there is
// nothing to do; jobs that come one by one do not make all of them ask; and none of
// the jobs waits for long, nor does a burst leave most of the workers idle.
func TestFiftyWorkersOnOneStore(t *testing.T) {
	if testing.Short() {
		t.Skip("takes twenty seconds; worker/calm_test.go looks at the same on a clock of its own")
	}
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fifty(t, address(t))
		})
	}
}

func fifty(t *testing.T, address string) {
	const workers = 50
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	y := &tally{calls: map[bellhop.Op]int{}, ran: map[int]int{}}
	producer, err := bellhop.Open(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	working, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() { y.work(t, ctx, working, address, i) })
	}
	defer group.Wait()
	defer stop()
	y.until(ctx, t, "all workers are there", func() bool {
		list, err := producer.Processes(ctx)
		return err == nil && len(list) == workers
	})

	const window = 8 * time.Second
	pause(ctx, 2*time.Second) // let the start be over
	began := time.Now()
	before, _, _, _ := y.read()
	pause(ctx, window)
	after, _, _, _ := y.read()
	took := time.Since(began) // longer than the window on a machine that stalls
	if n, most := after-before, int(2*took.Seconds()*workers); n > most || n < most/4 {
		t.Errorf("%d idle workers made %d calls in %v; want at most 2 a second each, which is %d, and not far less", workers, n, took, most)
	}

	const single = 60
	_, first, _, _ := y.read()
	began = time.Now()
	for n := range single {
		y.enqueue(ctx, t, producer, 1)
		y.until(ctx, t, "a single job has run", func() bool {
			_, _, jobs, _ := y.read()
			return jobs > n
		})
	}
	_, last, _, _ := y.read()
	polls := int(2 * time.Since(began).Seconds() * workers)
	n := last - first - polls
	t.Logf("%d jobs that came one by one led to %d exchanges besides the polls", single, n)
	if n > single*workers/2 { // a stampede would be all of them each time; a busy machine makes it more than a few
		t.Errorf("%d jobs that came one by one led to %d exchanges besides the polls; want a few each", single, n)
	}

	const burst = 3000
	y.enqueue(ctx, t, producer, burst)
	y.until(ctx, t, "the burst has run", func() bool {
		_, _, jobs, _ := y.read()
		return jobs == single+burst
	})
	if _, _, _, busy := y.read(); busy < workers/2 {
		t.Errorf("%d of %d workers have run the %d jobs of a burst; the others had nothing", busy, workers, burst)
	}
	y.until(ctx, t, "all outcomes are in", func() bool {
		n, err := producer.Count(ctx, bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}, 2*burst)
		return err == nil && n == single+burst
	})
}

// work runs one worker on a store of its own.
func (y *tally) work(t *testing.T, ctx, working context.Context, address string, number int) {
	store, err := bellhop.OpenStore(ctx, address)
	if err != nil {
		t.Error(err)
		return
	}
	client, err := bellhop.NewClient(storetest.NewSlow(store, y.count))
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	w := worker.New(client, worker.Config{Name: fmt.Sprint("worker ", number), Queues: worker.Queues{bellhop.DefaultQueue: 2}})
	w.Handle(job.With(func(ctx context.Context, _ nothing) error {
		y.mu.Lock()
		y.ran[number]++
		y.mu.Unlock()
		pause(ctx, 10*time.Millisecond)
		return nil
	}))
	if err := w.Run(working); err != nil {
		t.Error(err)
	}
}

// enqueue enqueues n jobs at once: from many goroutines, which the client gathers.
func (y *tally) enqueue(ctx context.Context, t *testing.T, c *bellhop.Client, n int) {
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			if _, err := job.Enqueue(ctx, c, nothing{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// until polls for something that the workers bring about.
func (y *tally) until(ctx context.Context, t *testing.T, what string, fn func() bool) {
	t.Helper()
	for !fn() {
		if pause(ctx, 5*time.Millisecond); ctx.Err() != nil {
			t.Fatalf("%s: not within %v", what, 2*time.Minute)
		}
	}
}

// pause waits for d or the end of ctx: idleness is what is looked at, and the work that jobs stand for.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
