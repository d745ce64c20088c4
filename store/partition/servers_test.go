package partition_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/partition"
	_ "github.com/gobellhop/bellhop/store/postgres"
	_ "github.com/gobellhop/bellhop/store/redis"
	"github.com/gobellhop/bellhop/store/storetest"
	"github.com/gobellhop/bellhop/worker"
)

// site is a client on the address of a file of parts, with a worker beside it.
type site struct {
	*testing.T
	ctx     context.Context
	client  *bellhop.Client
	address string
	log     *log

	mu  sync.Mutex
	ran map[int]int
}

type number struct {
	N int `json:"n"`
}

var numbered = bellhop.Define[number]("test.number")

// addressOf writes a file of parts and returns its address.
func addressOf(t *testing.T, f partition.File) string {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "parts.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "partition:" + path
}

func newSite(t *testing.T, f partition.File) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	s := &site{T: t, ctx: ctx, ran: map[int]int{}, log: &log{}, address: addressOf(t, f)}
	var err error
	if s.client, err = bellhop.Open(ctx, s.address, bellhop.Logger(slog.New(slog.NewTextHandler(s.log, nil)))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// work runs a worker of the given queues until the returned function is called.
func (s *site) work(queues ...string) (stop func()) {
	config := worker.Config{Queues: worker.Queues{}}
	for _, q := range queues {
		config.Queues[q] = 20
	}
	w := worker.New(s.client, config)
	w.Handle(numbered.With(func(_ context.Context, n number) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ran[n.N]++
		return nil
	}))
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	}
}

// enqueue enqueues jobs from to to, each by a call of its own, from 16 goroutines. As a caller would, it repeats a call that was told
// that the store is out of reach, under the same id: a connection to a server that was killed tells so once, when it is used next.
func (s *site) enqueue(from, to int, set func(n int) []bellhop.Option) {
	s.Helper()
	var group sync.WaitGroup
	numbers := make(chan int)
	for range 16 {
		group.Go(func() {
			for n := range numbers {
				options := append([]bellhop.Option{bellhop.WithID(bellhop.IDFromKey("number", fmt.Sprint(n)))}, set(n)...)
				_, err := numbered.Enqueue(s.ctx, s.client, number{n}, options...)
				for errors.Is(err, bellhop.ErrUnavailable) && s.ctx.Err() == nil {
					_, err = numbered.Enqueue(s.ctx, s.client, number{n}, options...)
				}
				if err != nil {
					s.Error(err)
				}
			}
		})
	}
	for n := from; n < to; n++ {
		numbers <- n
	}
	close(numbers)
	group.Wait()
}

// until polls for something that a server or a worker brings about.
func (s *site) until(what string, fn func() bool) {
	s.Helper()
	for !fn() {
		select {
		case <-s.ctx.Done():
			s.log.mu.Lock()
			s.Fatalf("%s: did not come to be\n%s", what, s.log.b.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// succeeded reports how many jobs have succeeded, or -1 while that cannot be told.
func (s *site) succeeded(f bellhop.Filter) int {
	f.States = bellhop.States(bellhop.StateSucceeded)
	n, err := s.client.Count(s.ctx, f, 100_000)
	if err != nil {
		return -1
	}
	return n
}

// once checks that each of the first n jobs ran once, and that one listing has them all.
func (s *site) once(n int) {
	s.Helper()
	s.mu.Lock()
	for i := range n {
		if s.ran[i] != 1 {
			s.Errorf("job %d ran %d times", i, s.ran[i])
		}
	}
	s.mu.Unlock()
	seen := map[bellhop.ID]bool{}
	for q := (bellhop.Query{Limit: 70}); ; {
		page, err := s.client.List(s.ctx, q)
		if err != nil {
			s.Fatal(err)
		}
		for _, j := range page.Jobs {
			if seen[j.ID] {
				s.Errorf("the listing has job %s twice", j.ID)
			}
			seen[j.ID] = true
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if len(seen) != n {
		s.Errorf("the listing has %d jobs; want %d", len(seen), n)
	}
}

// clusterParts are three namespaces of one cluster, each on a master of its own.
func clusterParts(t *testing.T, c *testservers.Cluster) (parts []partition.FilePart) {
	t.Helper()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{hostOf(t, c.Nodes[0])}})
	defer client.Close()
	names := map[string]string{} // of namespaces by master
	for n := 0; len(names) < len(c.Nodes); n++ {
		namespace := fmt.Sprintf("part-%s-%d", bellhop.NewID(), n)
		master, err := client.MasterForKey(t.Context(), "{bellhop:"+namespace+"}:")
		if err != nil {
			t.Fatal(err)
		}
		names[master.Options().Addr] = namespace
	}
	for _, node := range c.Nodes {
		parts = append(parts, partition.FilePart{
			Name: fmt.Sprintf("node-%d", len(parts)+1), Address: c.Address + "?timeout=1m&namespace=" + names[hostOf(t, node)],
		})
	}
	return parts
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// A Redis Cluster of three masters, a namespace on each: one client, one worker, one
// listing. A master that freezes holds up neither of the others.
func TestRedisCluster(t *testing.T) {
	cluster, nodes := testservers.StartRedisCluster(t, "cluster-require-full-coverage no")
	parts := clusterParts(t, cluster)
	s := newSite(t, partition.File{By: partition.ByKey, Parts: parts})
	plain := func(int) []bellhop.Option { return nil }
	const each = 300
	s.enqueue(0, each, plain)
	for i, p := range parts {
		own, err := bellhop.OpenStore(s.ctx, p.Address)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := storetest.CountAll(s.ctx, own, bellhop.Filter{}, each); err != nil || n < each/6 || n > each*2/3 {
			t.Errorf("part %s has %d of %d jobs (%v)", p.Name, n, each, err)
		}
		_ = own.Close()
		client := goredis.NewClient(&goredis.Options{Addr: hostOf(t, cluster.Nodes[i])})
		if n := client.DBSize(s.ctx).Val(); n == 0 {
			t.Errorf("the master %s has no keys: its part is on another", cluster.Nodes[i])
		}
		_ = client.Close()
	}
	stop := s.work(bellhop.DefaultQueue)
	s.until("the first jobs have succeeded", func() bool { return s.succeeded(bellhop.Filter{}) == each })

	nodes[1].Freeze()
	router, _ := bellhop.As[bellhop.Router](s.client.Store())
	alive := func(n int) []bellhop.Option { // an id of another part
		for k := 0; ; k++ {
			id := bellhop.IDFromKey("alive", fmt.Sprint(n, " ", k))
			if router.Route(&bellhop.Job{ID: id}) != 1 {
				return []bellhop.Option{bellhop.WithID(id)}
			}
		}
	}
	s.enqueue(each, 2*each, alive)
	s.until("jobs of the other masters have run", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ran) == 2*each
	})
	waiting := make(chan struct{})
	go func() { // of which a third waits for the frozen master
		defer close(waiting)
		s.enqueue(2*each, 3*each, plain)
	}()
	s.until("some of the others have run", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ran) > 2*each
	})
	nodes[1].Thaw()
	<-waiting
	s.until("all jobs have succeeded", func() bool { return s.succeeded(bellhop.Filter{}) == 3*each })
	stop()
	s.once(3 * each)
}

// Two PostgreSQL servers by queue; one is killed and comes back. The schema of both is
// looked after through the one address.
func TestPostgresServers(t *testing.T) {
	one, two := testservers.Postgres(t), testservers.StartPostgres(t)
	f := partition.File{By: partition.ByQueue, Pins: map[string]string{"one": "one", "two": "two"}, Parts: []partition.FilePart{
		{Name: "one", Address: one.Database(t)}, {Name: "two", Address: two.Database(t)},
	}}
	migrate(t, addressOf(t, f))
	s := newSite(t, f)
	queue := func(n int) []bellhop.Option {
		return []bellhop.Option{bellhop.Queue([]string{"one", "two", "mail", "report"}[n%4])}
	}
	const each = 200
	stop := s.work("one", "two", "mail", "report")
	s.enqueue(0, each, queue)
	s.until("the first jobs have succeeded", func() bool { return s.succeeded(bellhop.Filter{}) == each })
	two.Kill()
	first := func(int) []bellhop.Option { return []bellhop.Option{bellhop.Queue("one")} }
	s.enqueue(each, 2*each, first)
	s.until("jobs of the living server have run", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.ran) == 2*each
	})
	two.Start()
	s.until("the server is back", func() bool { return s.client.Pause(s.ctx, "unused") == nil })
	s.enqueue(2*each, 3*each, queue)
	s.until("all jobs have succeeded", func() bool { return s.succeeded(bellhop.Filter{}) == 3*each })
	stop()
	s.once(3 * each)
	d, _ := bellhop.As[bellhop.Diagnoser](s.client.Store())
	findings, err := d.Diagnose(s.ctx)
	if err != nil || slices.ContainsFunc(findings, func(f bellhop.Finding) bool {
		return f.Level == "problem" && f.Subject != "one: durability" // the tests' shared server waits for no disk
	}) {
		t.Errorf("findings are %+v, %v", findings, err)
	}
}

// migrate brings the schema of all parts up, down and up again, as the command does.
func migrate(t *testing.T, address string) {
	t.Helper()
	ctx := t.Context()
	if _, err := bellhop.Open(ctx, address); err == nil {
		t.Fatalf("a store without a schema was opened")
	}
	store, err := bellhop.OpenStore(ctx, address+"?migrate=only")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	m, ok := bellhop.As[bellhop.Migrator](store)
	if !ok {
		t.Fatalf("the store has no schema to look after")
	}
	steps := map[string]int{}
	for _, to := range []func(newest int) int{func(n int) int { return n }, func(int) int { return 0 }, func(n int) int { return n }} {
		_, newest, err := m.Schema(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.MigrateTo(ctx, to(newest), func(s bellhop.MigrationStep) { steps[s.Name[:3]]++ }); err != nil {
			t.Fatal(err)
		}
		if have, _, err := m.Schema(ctx); err != nil || have != to(newest) {
			t.Fatalf("the schema has version %d (%v); want %d", have, err, to(newest))
		}
	}
	if len(steps) != 2 || steps["one"] != steps["two"] {
		t.Errorf("steps of the parts: %v", steps)
	}
	if sql, err := m.MigrationSQL(0, 1); err != nil || sql == "" {
		t.Errorf("statements: %q, %v", sql, err)
	}
}
