package redis_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/redis"
	"github.com/gobellhop/bellhop/store/storetest"
)

// The largest calls that there may be go through, as a whole or not at all.
func TestLargeCalls(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	c, o := client(t, openingOf(s).address), openingOf(s)
	ctx := t.Context()
	p := process(t, s)
	jobs := testJobs(bellhop.MaxBatch)
	bytes := bellhop.MaxBatchBytes
	if testing.Short() {
		bytes /= 4 // still several pieces
	}
	for i, j := range jobs {
		j.Args = []byte(`"` + strings.Repeat(strconv.Itoa(i%10), bytes/len(jobs)-2) + `"`)
	}
	// The last job is refused, and with it all.
	taken := *jobs[0]
	taken.Kind = "another"
	enqueue(t, s, jobs[0])
	_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: append(jobs[1:len(jobs)-1:len(jobs)-1], &taken)})
	var item *bellhop.ItemError
	if !errors.As(err, &item) || item.Index != len(jobs)-2 {
		t.Fatalf("a large call with a job whose id is taken: %v", err)
	}
	if n, err := storetest.CountAll(ctx, s, bellhop.Filter{}, 100); n != 1 || err != nil {
		t.Fatalf("%d jobs are there (%v); want 1", n, err)
	}
	enqueue(t, s, jobs...)
	if n, err := storetest.CountAll(ctx, s, bellhop.Filter{}, 100_000); n != len(jobs) || err != nil {
		t.Fatalf("%d jobs are there (%v); want %d", n, err, len(jobs))
	}
	claims := claim(t, s, p, bellhop.MaxBatch)
	if string(claims[17].Job.Args) != string(jobs[17].Args) {
		t.Error("the arguments have changed")
	}
	outcomes := succeeded(claims)
	for i := range outcomes {
		outcomes[i].Result = jobs[i].Args
	}
	if reply, err := s.Exchange(ctx, request(p, 0, outcomes...)); err != nil || len(reply.Refused) > 0 {
		t.Fatalf("a large exchange: %+v, %v", reply, err)
	}
	for _, key := range keysOf(t, c, o.namespace) {
		if strings.Contains(key, "stage|") {
			t.Errorf("the staged items %q are left", key)
		}
	}
	ids := make([]bellhop.ID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	reply, err := s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActDelete, IDs: ids})
	if err != nil || len(reply.Changed) != len(jobs) {
		t.Fatalf("deleted %d, %v", len(reply.Changed), err)
	}
	for _, key := range keysOf(t, c, o.namespace) {
		if name := key[strings.Index(key, ":")+1:]; strings.HasPrefix(name[strings.Index(name, ":")+1:], "jobs") {
			t.Errorf("the key %q is left", key)
		}
	}
}

// So many jobs are due at once, orphaned at once and expired at once that no script could hand them all to one command.
func TestDutiesOfVeryMany(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	ctx := t.Context()
	const n, limit = 20_000, 50_000
	jobs := testJobs(n)
	for i, j := range jobs {
		j.Delay = time.Minute
		j.Queue = []string{"default", "other"}[i%2]
	}
	enqueue(t, s, jobs[:n/2]...)
	enqueue(t, s, jobs[n/2:]...)
	advance(s, time.Hour)
	promoted := 0
	for range 3 * n / 1000 {
		k, _, err := s.Promote(ctx, limit)
		if err != nil {
			t.Fatal(err)
		}
		if promoted += k; promoted == n {
			break
		}
	}
	if promoted != n {
		t.Fatalf("promoted %d; want %d", promoted, n)
	}
	p := process(t, s)
	r := request(p, n)
	r.Wants = append(r.Wants, bellhop.Want{Queue: "other", Count: n})
	if reply, err := s.Exchange(ctx, r); err != nil || len(reply.Claims) != n {
		t.Fatalf("claimed %d, %v; want %d", len(reply.Claims), err, n)
	}
	advance(s, 2*time.Hour)
	orphans, err := s.Sweep(ctx, limit)
	if err != nil || len(orphans) != n {
		t.Fatalf("swept %d, %v; want %d", len(orphans), err, n)
	}
	var outcomes []bellhop.Outcome
	for i := range orphans {
		o := orphans[i].Settle(bellhop.Policy{}, bellhop.Return{})
		o.Keep = time.Minute
		outcomes = append(outcomes, o)
	}
	for half := range 2 {
		if reply, err := s.Exchange(ctx, request(bellhop.ID{}, 0, outcomes[half*n/2:(half+1)*n/2]...)); err != nil || len(reply.Refused) > 0 {
			t.Fatalf("ended: %v, %v", reply, err)
		}
	}
	advance(s, time.Hour)
	for pruned := 0; pruned < n; {
		k, err := s.Prune(ctx, limit)
		if err != nil || k == 0 {
			t.Fatalf("pruned %d after %d, %v; want %d in all", k, pruned, err, n)
		}
		pruned += k
	}
	if left, err := storetest.CountAll(ctx, s, bellhop.Filter{}, n); left != 0 || err != nil {
		t.Errorf("%d jobs are left, %v", left, err)
	}
}

// Items that are staged by a call that is cut off go away by themselves, and
// the call has not happened.
func TestStagedAndCutOff(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	c, o := client(t, openingOf(s).address), openingOf(s)
	cut := errors.New("cut off")
	s.SetStep(func(_ context.Context, _ bellhop.Op, statement string, done bool) error {
		if statement == "enqueue" && !done {
			return cut
		}
		return nil
	})
	jobs := testJobs(100)
	for _, j := range jobs {
		j.Args = []byte(`"` + strings.Repeat("x", 200_000) + `"`)
	}
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
	if !errors.Is(err, cut) || !errors.Is(err, bellhop.ErrUnchanged) {
		t.Errorf("a call that is cut off: %v", err)
	}
	s.SetStep(nil)
	staged := 0
	for _, key := range keysOf(t, c, o.namespace) {
		if strings.Contains(key, "stage|") {
			staged++
			if ttl := c.TTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Minute {
				t.Errorf("staged items live for %v", ttl)
			}
		}
	}
	if staged != 1 {
		t.Errorf("%d lists of staged items; want 1", staged)
	}
	if n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{}, 1000); n != 0 || err != nil {
		t.Errorf("%d jobs are there, %v", n, err)
	}
}

// Of finished jobs no more are kept than the store was told, those that expire
// last; those that are kept for ever and the dead are not counted.
func TestKeepFinished(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	few := openStore(t, openingOf(s), redis.WithKeepFinished(50))
	ctx := t.Context()
	p := process(t, s)
	jobs := testJobs(220)
	for i, j := range jobs {
		j.Priority = min(i/100, 2) // the first to be claimed first
		j.Retention = time.Hour + time.Duration(i)*time.Second
		if i >= 200 {
			j.Retention = bellhop.Forever
		}
	}
	enqueue(t, s, jobs...)
	if _, err := s.Exchange(ctx, request(p, 0, succeeded(claim(t, s, p, 220))...)); err != nil {
		t.Fatal(err)
	}
	if n, err := few.Prune(ctx, 100); n != 100 || err != nil {
		t.Fatalf("pruned %d, %v; want 100", n, err)
	}
	if n, err := few.Prune(ctx, 100); n != 50 || err != nil {
		t.Fatalf("pruned %d, %v; want 50", n, err)
	}
	found, err := few.Get(ctx, []bellhop.ID{jobs[149].ID, jobs[150].ID, jobs[199].ID, jobs[200].ID, jobs[219].ID})
	if err != nil || len(found) != 4 {
		t.Errorf("%d of the 4 are left that should be: %v", len(found), err)
	}
	// An exchange brings the number down as well, by twice what it adds.
	more := testJobs(60)
	enqueue(t, s, more...)
	if _, err := few.Exchange(ctx, request(p, 0, succeeded(claim(t, s, p, 60))...)); err != nil {
		t.Fatal(err)
	}
	if n, err := storetest.CountAll(ctx, s, bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}, 1000); n != 70 || err != nil {
		t.Errorf("%d finished jobs are there (%v); want 50 and 20 that are kept for ever", n, err)
	}
}

// How much memory a job takes, as docs/redis.md says. Without TestMemory -v the
// figures are only compared with a bound.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it fills 100,000 jobs in")
	}
	server := testservers.StartRedis(t)
	s := openStore(t, opening{address: server.Address, namespace: "memory"})
	c := client(t, server.Address)
	const n = 100_000
	used := func() float64 {
		for line := range strings.Lines(c.Info(t.Context(), "memory").Val()) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory_dataset:"); ok {
				bytes, _ := strconv.ParseFloat(v, 64)
				return bytes
			}
		}
		return 0
	}
	p := process(t, s)
	before := used()
	report := func(state string, bound float64) {
		t.Helper()
		each := (used() - before) / n
		t.Logf("%s: %.0f bytes a job, of them %d of arguments", state, each, len(speedJobs(1)[0].Args))
		if each > bound {
			t.Errorf("%s: %.0f bytes a job; docs/redis.md says %.0f", state, each, bound)
		}
	}
	for range n / 1000 {
		enqueue(t, s, speedJobs(1000)...)
	}
	report("ready", 420)
	r := request(p, 1000)
	r.Kinds = []string{speedKind}
	var all []bellhop.Claim
	for range n / 1000 {
		r.ID = bellhop.NewID()
		reply, err := s.Exchange(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, reply.Claims...)
	}
	report("running", 370)
	for ; len(all) > 0; all = all[1000:] {
		if _, err := s.Exchange(t.Context(), request(p, 0, succeeded(all[:1000])...)); err != nil {
			t.Fatal(err)
		}
	}
	report("finished", 470)
}
