package redis_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/redis"
)

// opened is how the test stores were opened.
var opened sync.Map

type opening struct {
	address, namespace string
	ahead              *atomic.Int64
}

func (o opening) options() []redis.Option {
	return []redis.Option{redis.WithNamespace(o.namespace), redis.WithClockAhead(o.ahead)}
}

// newStore opens a new namespace, which is deleted when the test ends.
func newStore(t testing.TB, address string) *redis.Store {
	t.Helper()
	o := opening{address, "test-" + bellhop.NewID().String(), new(atomic.Int64)}
	s := openStore(t, o)
	t.Cleanup(func() { wipe(t, o) })
	return s
}

func openStore(t testing.TB, o opening, opts ...redis.Option) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), o.address, append(o.options(), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	opened.Store(s, o)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openingOf(s bellhop.Store) opening {
	o, _ := opened.Load(s)
	return o.(opening)
}

// reopen opens the namespace of a store that is left as it is.
func reopen(t testing.TB, s bellhop.Store) *redis.Store { return openStore(t, openingOf(s)) }

func advance(s bellhop.Store, d time.Duration) { openingOf(s).ahead.Add(d.Microseconds()) }

// client returns a client of the test's own.
func client(t testing.TB, address string) goredis.UniversalClient {
	t.Helper()
	var c goredis.UniversalClient
	if hosts, ok := strings.CutPrefix(address, "redis+cluster://"); ok {
		c = goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: strings.Split(hosts, ",")})
	} else {
		o, err := goredis.ParseURL(address)
		if err != nil {
			t.Fatal(err)
		}
		c = goredis.NewClient(o)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// keysOf returns the keys of a store's namespace.
func keysOf(t testing.TB, c goredis.UniversalClient, namespace string) []string {
	t.Helper()
	ctx := context.Background() // also when the test is over
	var node goredis.Cmdable = c
	if cluster, ok := c.(*goredis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, "{bellhop:"+namespace+"}:")
		if err != nil {
			t.Fatal(err)
		}
		node = master
	}
	var all []string
	for it := node.Scan(ctx, 0, "{bellhop:"+namespace+"}:*", 1000).Iterator(); it.Next(ctx); {
		all = append(all, it.Val())
	}
	return all
}

// wipe deletes a namespace, as far as the server is still there.
func wipe(t testing.TB, o opening) {
	c := client(t, o.address)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if c.Ping(ctx).Err() != nil {
		return
	}
	for _, key := range keysOf(t, c, o.namespace) {
		c.Unlink(ctx, key)
	}
}

const testKind = "test.job"

func testJobs(n int) []*bellhop.Job {
	jobs := make([]*bellhop.Job, n)
	for i := range jobs {
		jobs[i] = &bellhop.Job{ID: bellhop.NewID(), Kind: testKind, Queue: "default", Attempts: 25, Args: []byte(`{"n":1}`)}
	}
	return jobs
}

func enqueue(t testing.TB, s bellhop.Store, jobs ...*bellhop.Job) {
	t.Helper()
	if _, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
}

// process registers a process.
func process(t testing.TB, s bellhop.Store) bellhop.ID {
	t.Helper()
	p := bellhop.Process{ID: bellhop.NewID(), Name: "test", Kinds: []string{testKind}}
	if _, err := s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// request asks for n jobs and hands outcomes in.
func request(p bellhop.ID, n int, outcomes ...bellhop.Outcome) *bellhop.ExchangeRequest {
	return &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: p, Limit: n, Kinds: []string{testKind}, Outcomes: outcomes,
		Wants: []bellhop.Want{{Queue: "default", Count: n}},
	}
}

// claim claims n jobs, which must be there.
func claim(t testing.TB, s bellhop.Store, p bellhop.ID, n int) []bellhop.Claim {
	t.Helper()
	reply, err := s.Exchange(t.Context(), request(p, n))
	if err != nil || len(reply.Claims) != n {
		t.Fatalf("claimed %v (%v); want %d", reply, err, n)
	}
	return reply.Claims
}

// succeeded ends claims well.
func succeeded(claims []bellhop.Claim) []bellhop.Outcome {
	outcomes := make([]bellhop.Outcome, len(claims))
	for i := range claims {
		outcomes[i] = claims[i].Settle(bellhop.Policy{}, bellhop.Return{Started: claims[i].Place.ClaimedAt, Ended: claims[i].Place.ClaimedAt})
	}
	return outcomes
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// dialer connects to where the function says at that moment.
func dialer(where func() string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, where())
	}
}
