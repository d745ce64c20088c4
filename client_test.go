package bellhop_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate holds up enqueues until it is opened, and may fail them.
type gate struct {
	bellhop.Store
	mu    sync.Mutex
	open  chan struct{}
	sizes []int
	fail  func(jobs []*bellhop.Job) error
}

func newGate() *gate { return &gate{Store: memory.New(), open: make(chan struct{})} }

func (g *gate) Enqueue(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	g.mu.Lock()
	g.sizes = append(g.sizes, len(r.Jobs))
	g.mu.Unlock()
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if g.fail != nil {
		if err := g.fail(r.Jobs); err != nil {
			return nil, err
		}
	}
	return g.Store.Enqueue(ctx, r)
}

// While one commit is under way, the calls that arrive wait and go together
// with the next.
func TestCallsGatherWhileACommitIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c, _ := bellhop.NewClient(g)
		var wg sync.WaitGroup
		enqueue := func(n int) {
			wg.Go(func() {
				if r, err := sendWelcome.EnqueueMany(t.Context(), c, make([]welcome, n)); err != nil || len(r) != n {
					t.Errorf("%d receipts for %d jobs, %v", len(r), n, err)
				}
			})
			synctest.Wait()
		}
		enqueue(1)
		for range 9 {
			enqueue(2)
		}
		enqueue(999) // does not fit with the others
		close(g.open)
		wg.Wait()
		if len(g.sizes) != 3 || g.sizes[0] != 1 || g.sizes[1] != 18 || g.sizes[2] != 999 {
			t.Errorf("batches of %v", g.sizes)
		}
		if n, err := c.Count(t.Context(), bellhop.Filter{}, 10_000); n != 1018 || err != nil {
			t.Errorf("%d jobs, %v", n, err)
		}
		_ = c.Close()
	})
}

// A data error in one caller's jobs never fails another caller.
func TestAFaultyCallFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		taken := bellhop.NewID()
		g.fail = func(jobs []*bellhop.Job) error {
			for i, j := range jobs {
				if j.ID == taken {
					return &bellhop.ItemError{Index: i, Err: bellhop.ErrIDTaken}
				}
			}
			return nil
		}
		c, _ := bellhop.NewClient(g)
		var wg sync.WaitGroup
		errs := make([]error, 5)
		for i := range errs {
			var opts []bellhop.Option
			if i == 2 {
				opts = append(opts, bellhop.WithID(taken))
			}
			wg.Go(func() { _, errs[i] = sendWelcome.Enqueue(t.Context(), c, welcome{}, opts...) })
			synctest.Wait()
		}
		close(g.open)
		wg.Wait()
		for i, err := range errs {
			if want := i == 2; errors.Is(err, bellhop.ErrIDTaken) != want || (err != nil) != want {
				t.Errorf("caller %d: %v", i, err)
			}
		}
		_ = c.Close()
	})
}

// One bad job among many calls costs a few commits more, not one for each call.
func TestAFaultyCallIsFoundByHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls, bad = 256, 100
		g := newGate()
		taken := bellhop.NewID()
		g.fail = func(jobs []*bellhop.Job) error {
			for i, j := range jobs {
				if j.ID == taken {
					return &bellhop.ItemError{Index: i, Err: bellhop.ErrIDTaken}
				}
			}
			return nil
		}
		c, _ := bellhop.NewClient(g)
		var wg sync.WaitGroup
		for i := range calls {
			id := bellhop.NewID()
			if i == bad {
				id = taken
			}
			wg.Go(func() {
				_, err := sendWelcome.Enqueue(t.Context(), c, welcome{}, bellhop.WithID(id))
				if (err != nil) != (i == bad) {
					t.Errorf("caller %d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		close(g.open)
		wg.Wait()
		if len(g.sizes) > 20 {
			t.Errorf("%d batches for %d calls: %v", len(g.sizes), calls, g.sizes)
		}
		_ = c.Close()
	})
}

// A caller that goes away before its jobs are sent has enqueued nothing; after
// that it does not know, and is told the ids.
func TestACallersContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c, _ := bellhop.NewClient(g)
		id := bellhop.NewID()
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := sendWelcome.Enqueue(first, c, welcome{}, bellhop.WithID(id))
			var unknown *bellhop.UnknownError
			if !errors.Is(err, bellhop.ErrUnknown) || !errors.As(err, &unknown) || unknown.IDs[0] != id || !errors.Is(err, context.Canceled) {
				t.Errorf("the first caller: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			_, err := sendWelcome.Enqueue(second, c, welcome{})
			if !errors.Is(err, context.Canceled) || errors.Is(err, bellhop.ErrUnknown) {
				t.Errorf("the second caller: %v", err)
			}
		})
		synctest.Wait()
		cancelSecond()
		cancelFirst()
		wg.Wait()
		close(g.open)
		synctest.Wait()
		if r, err := sendWelcome.Enqueue(t.Context(), c, welcome{}, bellhop.WithID(id)); err != nil || !r.Existing {
			t.Errorf("asking again: %+v, %v", r, err)
		}
		if n, _ := c.Count(t.Context(), bellhop.Filter{}, 10); n != 1 {
			t.Errorf("%d jobs, want 1", n)
		}
		_ = c.Close()
		if _, err := sendWelcome.Enqueue(t.Context(), c, welcome{}); !errors.Is(err, bellhop.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A caller finds the context's own error as well as the cause that it was given.
func TestACallersContextEndsWithACause(t *testing.T) {
	cause := errors.New("the customer has gone")
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c, _ := bellhop.NewClient(g)
		ctx, cancel := context.WithCancelCause(t.Context())
		for range 2 { // one is sent, and one waits for it
			go func() {
				if _, err := sendWelcome.Enqueue(ctx, c, welcome{}); !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
					t.Errorf("while it waits: %v", err)
				}
			}()
			synctest.Wait()
		}
		cancel(cause)
		if _, err := sendWelcome.Enqueue(ctx, c, welcome{}); !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
			t.Errorf("afterwards: %v", err)
		}
		synctest.Wait()
		close(g.open)
		_ = c.Close()
	})
}

// A store that never answers is waited for only so long, and then nobody knows.
func TestAStoreThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c, _ := bellhop.NewClient(g)
		begin := time.Now()
		_, err := sendWelcome.Enqueue(t.Context(), c, welcome{})
		if !errors.Is(err, bellhop.ErrUnknown) || time.Since(begin) > time.Minute {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		_ = c.Close()
	})
}

func TestMiddlewareAndListeners(t *testing.T) {
	var events []bellhop.Event
	var order []string
	mark := func(name string) bellhop.Option {
		return bellhop.OnEnqueue(func(ctx context.Context, jobs []*bellhop.Job, next bellhop.EnqueueFunc) ([]bellhop.Receipt, error) {
			order = append(order, name)
			for _, j := range jobs {
				if j.Meta == nil {
					j.Meta = map[string]string{}
				}
				j.Meta["trace"] += name
			}
			return next(ctx, jobs)
		})
	}
	c := newClient(t, mark("a"), mark("b"), bellhop.Logger(slog.New(slog.DiscardHandler)),
		bellhop.OnEvent(func(bellhop.Event) { panic("a listener's mistake costs nobody a job") }),
		bellhop.OnEvent(func(e bellhop.Event) { events = append(events, e) }))
	r, err := sendWelcome.EnqueueMany(t.Context(), c, make([]welcome, 2))
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := c.Get(t.Context(), r[1].ID); strings.Join(order, "") != "ab" || s.Meta["trace"] != "ab" {
		t.Errorf("order %v, meta %v", order, s.Meta)
	}
	if len(events) != 2 || events[1].Type != bellhop.EventEnqueued || events[1].JobID != r[1].ID || events[1].To != bellhop.StateReady || events[1].At.IsZero() {
		t.Errorf("%+v", events)
	}
	if _, err := c.Act(t.Context(), bellhop.ActCancel, "no longer wanted", r[0].ID); err != nil || events[2].Type != bellhop.EventCancelled {
		t.Errorf("%+v, %v", events, err)
	}
}

// What middleware adds to one job's metadata is seen by no other, and is held to the same rules.
func TestMiddlewareAndMetadata(t *testing.T) {
	var key string
	c := newClient(t, bellhop.Meta("tenant", "a"), bellhop.OnEnqueue(
		func(ctx context.Context, jobs []*bellhop.Job, next bellhop.EnqueueFunc) ([]bellhop.Receipt, error) {
			for _, j := range jobs {
				j.Meta[key] += "x"
			}
			return next(ctx, jobs)
		}))
	for _, d := range []*bellhop.Definition[welcome]{sendWelcome, bellhop.Define[welcome]("without.options")} {
		for _, key = range []string{"first", "second"} {
			r, err := d.EnqueueMany(t.Context(), c, make([]welcome, 2))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range r {
				s, err := c.Get(t.Context(), r.ID)
				if err != nil || len(s.Meta) != 2 || s.Meta["tenant"] != "a" || s.Meta[key] != "x" {
					t.Errorf("%s: %v, %v", d.Kind(), s.Meta, err)
				}
			}
		}
	}
	for _, key = range []string{"", "a b", "a\x00", "\xff"} {
		if _, err := sendWelcome.Enqueue(t.Context(), c, welcome{}); !errors.Is(err, bellhop.ErrInvalid) || !strings.Contains(err.Error(), "metadata key") {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

// Metadata is copied for each job, not for each of its values: a call with thousands of them comes from outside.
func TestMetadataIsCopiedOnce(t *testing.T) {
	var opts []bellhop.Option
	for i := range 1000 {
		opts = append(opts, bellhop.Meta(strconv.Itoa(i), ""))
	}
	c := newClient(t)
	if n := testing.AllocsPerRun(5, func() { _, _ = sendWelcome.Enqueue(t.Context(), c, welcome{}, opts...) }); n > 1000 {
		t.Errorf("%v allocations for 1000 values", n)
	}
}

// Middleware that loses receipts is told so, instead of the caller's program ending in a panic.
func TestMiddlewareThatLosesReceipts(t *testing.T) {
	for _, back := range []int{0, 1, 3} {
		c := newClient(t, bellhop.OnEvent(func(bellhop.Event) {}), bellhop.OnEnqueue(
			func(context.Context, []*bellhop.Job, bellhop.EnqueueFunc) ([]bellhop.Receipt, error) {
				return make([]bellhop.Receipt, back), nil
			}))
		_, err := sendWelcome.EnqueueMany(t.Context(), c, make([]welcome, 2))
		if err == nil || !strings.Contains(err.Error(), "receipts for 2 jobs") {
			t.Errorf("%d receipts: %v", back, err)
		}
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	for address, want := range map[string]string{
		"memry:":                         `the scheme "memry:" is unknown; did you mean "memory:"?`,
		"":                               "an address begins with a scheme",
		"jobs.db":                        "an address begins with a scheme",
		"mongodb://user:hunter2@host/db": `the scheme "mongodb:" is unknown`,
		"mongodb://u:hunter2@ho st/%zz":  `the scheme "mongodb:" is unknown`,
		"root:hunter2@tcp(db:3306)/app":  `the scheme "root:" is unknown`,
	} {
		_, err := bellhop.Open(t.Context(), address)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for address, want := range map[string]string{
		"postgres://me:hunter2@db/app?sslpassword=hunter2&x=1": "postgres://me:xxxxx@db/app?sslpassword=xxxxx&x=1",
		"redis://:hunter2@db":                 "redis://:xxxxx@db",
		"sqlite:jobs.db":                      "sqlite:jobs.db",
		"sqlite:/home/me@x/jobs.db":           "sqlite:/home/me@x/jobs.db",
		"root:hunter2@tcp(db:3306)/app":       "root:xxxxx@tcp(db:3306)/app",
		"postgres://me:12/hunter@db/app":      "postgres://xxxxx@db/app",
		"host=db password='hunt er2' user=me": "host=db password=xxxxx user=me",
		"x://a:hunter2@b%zz/c":                "x://xxxxx@b%zz/c",
		"postgres://u:12?hunter2@db/app":      "postgres://xxxxx@db/app",
		"postgres://u:12#hunter2@db/app":      "postgres://xxxxx@db/app",
		"host=db password = hunter2 user=me":  "host=db password = xxxxx user=me",
		"postgres://me@db:6432/app?pooler=transaction&listen=postgres://me:hunter2@direct/app&x=1": "postgres://me@db:6432/app?pooler=transaction&listen=postgres://xxxxx@direct/app&x=1",
		"postgres://me:hunter2@db/app?listen=postgres%3A%2F%2Fme%3Ahunter2%40direct%2Fapp":         "postgres://me:xxxxx@db/app?listen=postgres%3A%2F%2Fxxxxx@direct%2Fapp",
		"postgres://db:6432/app?listen=postgres://me:hunter2@direct/app":                           "postgres://db:6432/app?listen=postgres://xxxxx@direct/app",
		"postgres://db:6432/app?listen=postgres://direct/app":                                      "postgres://db:6432/app?listen=postgres://direct/app",
	} {
		if got := bellhop.MaskAddress(address); got != want {
			t.Errorf("MaskAddress(%q) = %q, want %q", address, got, want)
		}
	}
}

// What the store refuses is told with the call, and the prefix once.
func TestRefusalsOfTheStore(t *testing.T) {
	_, err := newClient(t).List(t.Context(), bellhop.Query{After: "no mark"})
	if !errors.Is(err, bellhop.ErrInvalid) || !strings.HasPrefix(err.Error(), "bellhop: list jobs: after: ") {
		t.Error(err)
	}
}

func TestKeyIsTheSameOverAttemptsAndGenerations(t *testing.T) {
	c, id := newClient(t), bellhop.NewID()
	key := func(id bellhop.ID, place bellhop.Place, name string) string {
		claim := &bellhop.Claim{Job: &bellhop.Job{ID: id}, Place: place}
		return bellhop.Key(bellhop.NewRun(c, claim, time.Now(), time.Now).Attach(t.Context()), name)
	}
	first := key(id, bellhop.Place{}, "charge")
	if first != key(id, bellhop.Place{Attempt: 3, Generation: 2, Claim: 9}, "charge") {
		t.Error("the key changes from attempt to attempt")
	}
	if first == key(id, bellhop.Place{}, "refund") || first == key(bellhop.NewID(), bellhop.Place{}, "charge") {
		t.Error("two keys are the same")
	}
	defer func() {
		if recover() == nil {
			t.Error("Key outside a handler did not panic")
		}
	}()
	bellhop.Key(t.Context(), "charge")
}

// Where the store is certain that nothing was changed, so is the caller.
func TestAStoreThatIsCertain(t *testing.T) {
	g := newGate()
	close(g.open)
	g.fail = func([]*bellhop.Job) error {
		return errors.Join(bellhop.ErrUnavailable, bellhop.ErrUnchanged, errors.New("the disk is full"))
	}
	c, _ := bellhop.NewClient(g)
	defer c.Close()
	if _, err := sendWelcome.Enqueue(t.Context(), c, welcome{}); errors.Is(err, bellhop.ErrUnknown) || !errors.Is(err, bellhop.ErrUnavailable) {
		t.Error(err)
	}
	g.fail = func([]*bellhop.Job) error { return bellhop.ErrUnavailable }
	if _, err := sendWelcome.Enqueue(t.Context(), c, welcome{}); !errors.Is(err, bellhop.ErrUnknown) {
		t.Error(err)
	}
}

// A fence that no record can fit is a slip of the caller.
func TestAFenceWithoutAVersionIsRefused(t *testing.T) {
	c := newClient(t)
	for _, version := range []int64{bellhop.ExpectAny, bellhop.ExpectNone} {
		_, err := c.ActSome(t.Context(), bellhop.ActRequest{
			Action: bellhop.ActCancel, IDs: []bellhop.ID{bellhop.NewID()}, Fence: &bellhop.Fence{Space: "rights", Key: "mine", Version: version},
		})
		if !errors.Is(err, bellhop.ErrInvalid) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// What would touch every job must be said, not left out.
// How many jobs one bite visits is bounded, for actions as for pages.
func TestABiteIsBounded(t *testing.T) {
	c := newClient(t)
	for limit, ok := range map[int]bool{-1: false, 0: true, 1: true, 1000: true, 1001: false} {
		_, err := c.ActSome(t.Context(), bellhop.ActRequest{Action: bellhop.ActCancel, Filter: bellhop.Filter{Kinds: []string{"k"}}, Limit: limit})
		if (err == nil) != ok || err != nil && (!errors.Is(err, bellhop.ErrInvalid) || !strings.Contains(err.Error(), "limit: ")) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

func TestAnEmptyFilterIsRefused(t *testing.T) {
	c := newClient(t)
	r, err := sendWelcome.EnqueueMany(t.Context(), c, make([]welcome, 3))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.ActAll(t.Context(), bellhop.ActDelete, "", bellhop.Filter{}, nil); n != 0 || !errors.Is(err, bellhop.ErrInvalid) {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := c.ActAll(t.Context(), bellhop.ActDelete, "", bellhop.Filter{States: bellhop.ActDelete.From()}, nil); n != len(r) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
