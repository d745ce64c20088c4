package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/freeport"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/redis"
	"github.com/gobellhop/bellhop/store/storetest"
)

// The contract holds as well on a cluster.
func TestStoreOnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as TestStore")
	}
	h := harness
	h.New = func(t testing.TB) bellhop.Store { return newStore(t, testservers.RedisCluster(t).Address) }
	storetest.Run(t, h)
}

// A namespace lives on one node, and several on several; a node of a cluster
// that is addressed as a single server is refused.
func TestCluster(t *testing.T) {
	cluster := testservers.RedisCluster(t)
	woken := make(chan string, 100)
	for range 6 {
		s := newStore(t, cluster.Address)
		defer s.Notify(func(queue string) { woken <- queue })()
		wait(t, woken, "")
		enqueue(t, s, testJobs(10)...)
		wait(t, woken, "default")
		p := process(t, s)
		claim(t, s, p, 10)
		if findings, err := s.Diagnose(t.Context()); err != nil || len(findings) == 0 {
			t.Errorf("diagnosis: %v, %v", findings, err)
		}
	}
	refusals := 0
	for _, node := range cluster.Nodes {
		if s, err := redis.Open(t.Context(), node, redis.WithNamespace("elsewhere")); err != nil {
			says(t, err, "redis+cluster://")
			refusals++
		} else {
			_ = s.Close()
		}
	}
	if refusals != 2 {
		t.Errorf("%d of 3 nodes refused to be a single server; want 2", refusals)
	}
}

// wait waits until a queue is named; others may be before.
func wait(t *testing.T, woken <-chan string, queue string) {
	t.Helper()
	timeout := time.After(hang)
	for {
		select {
		case q := <-woken:
			if q == queue {
				return
			}
		case <-timeout:
			t.Fatalf("queue %q was not named", queue)
		}
	}
}

// When the master dies, Sentinels make a replica the master, and the store goes on there.
func TestSentinel(t *testing.T) {
	if testing.Short() {
		t.Skip("a failover takes some seconds")
	}
	ctx := t.Context()
	master, replica := testservers.StartRedis(t), testservers.StartRedis(t)
	host, port, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(master.Address, "redis://"), "/0"), ":")
	cr := client(t, replica.Address)
	cr.Do(ctx, "REPLICAOF", host, port)
	sentinel := startSentinel(t, host, port)
	cs := client(t, "redis://"+sentinel)
	s := openStore(t, opening{address: "redis+sentinel://" + sentinel + "?master=main", namespace: "sentinel"})
	jobs := testJobs(100)
	enqueue(t, s, jobs...)
	eventually(t, "the replica does not follow", func() error {
		if n := cr.HLen(ctx, "{bellhop:sentinel}:places").Val(); n != 100 {
			return fmt.Errorf("it has %d jobs", n)
		}
		return nil
	})
	eventually(t, "the Sentinel does not know the replica", func() error {
		out, err := cs.Do(ctx, "SENTINEL", "replicas", "main").Slice()
		if err == nil && len(out) == 0 {
			err = errors.New("it knows none")
		}
		return err
	})
	master.Kill()
	if _, err := s.Ping(ctx); !errors.Is(err, bellhop.ErrUnavailable) {
		t.Errorf("ping while there is no master: %v", err)
	}
	if err := cs.Do(ctx, "SENTINEL", "SET", "main", "down-after-milliseconds", 300).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store does not come to the new master", func() error {
		_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs[:1]})
		return err
	})
	if n, err := storetest.CountAll(ctx, s, bellhop.Filter{}, 1000); n != 100 || err != nil {
		t.Errorf("%d jobs are there (%v); want 100", n, err)
	}
}

// startSentinel starts one Sentinel that decides alone. Nobody counts as down before a test says after how long, so that no slow moment
// before makes it decide.
func startSentinel(t *testing.T, host, port string) (address string) {
	t.Helper()
	own, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Release() })
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\nsentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 600000\nsentinel failover-timeout main 3000\n", own.Number, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "redis-server", conf, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	c := client(t, "redis://"+own.Addr())
	eventually(t, "the Sentinel does not answer", func() error { return c.Ping(t.Context()).Err() })
	return own.Addr()
}

// A client that is set up to try again, as one of a cluster always is, does not
// do so with what may have been done.
func TestLostAnswerIsNotRepeated(t *testing.T) {
	var armed atomic.Bool
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &losing{Conn: conn, armed: &armed}, err
	}
	_, host, _ := strings.Cut(testservers.Redis(t).Address, "://")
	host, _, _ = strings.Cut(host, "/")
	nodes := strings.Split(strings.TrimPrefix(testservers.RedisCluster(t).Address, "redis+cluster://"), ",")
	for name, c := range map[string]goredis.UniversalClient{
		"one server": goredis.NewClient(&goredis.Options{Addr: host, Dialer: dial, ContextTimeoutEnabled: true, MaxRetries: 5}),
		"cluster":    goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: nodes, Dialer: dial, ContextTimeoutEnabled: true}),
	} {
		t.Run(name, func(t *testing.T) {
			defer c.Close()
			s, err := redis.New(t.Context(), c, redis.WithNamespace("losing-"+bellhop.NewID().String()))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			write := []bellhop.RecordWrite{{Space: "space", Key: "key", Expect: bellhop.ExpectNone}}
			if err := s.Put(t.Context(), []bellhop.RecordWrite{{Space: "space", Key: "first"}}); err != nil { // the server knows the script now
				t.Fatal(err)
			}
			armed.Store(true)
			err = s.Put(t.Context(), write)
			if armed.Load() {
				t.Fatal("no answer was lost")
			}
			if !errors.Is(err, bellhop.ErrUnavailable) || errors.Is(err, bellhop.ErrUnchanged) {
				t.Errorf("a write whose answer was lost: %v; want one that says that it is unknown", err)
			}
			if err := s.Put(t.Context(), write); !errors.Is(err, bellhop.ErrConflict) {
				t.Errorf("the write again: %v; want a conflict, because the first was done", err)
			}
		})
	}
}

// losing is a connection that ends in place of the answer to a script, once.
type losing struct {
	net.Conn
	armed *atomic.Bool
	lost  atomic.Bool
}

func (l *losing) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("evalsha")) && l.armed.CompareAndSwap(true, false) {
		l.lost.Store(true)
	}
	return l.Conn.Write(p)
}

func (l *losing) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if l.lost.Load() && err == nil {
		_ = l.Close() // the answer has come, so the script has run
		return 0, io.EOF
	}
	return n, err
}

// When a namespace moves to another node of a cluster, that node is listened to.
func TestNotifyAfterMove(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a cluster of its own")
	}
	cluster, _ := testservers.StartRedisCluster(t, "cluster-require-full-coverage no")
	s := newStore(t, cluster.Address)
	woken := make(chan string, 100)
	defer s.Notify(func(queue string) { woken <- queue })()
	wait(t, woken, "")
	c := client(t, cluster.Address).(*goredis.ClusterClient)
	base := "{bellhop:" + openingOf(s).namespace + "}:"
	node, err := c.MasterForKey(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	slot := c.ClusterKeySlot(t.Context(), base).Val()
	// The node gives the slot up, as it does when another one takes it, and takes it back.
	for _, change := range []string{"DELSLOTS", "ADDSLOTS"} {
		if err := node.Do(t.Context(), "CLUSTER", change, slot).Err(); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, woken, "") // the end of the one subscription,
	wait(t, woken, "") // and the next
	eventually(t, "the slot does not come back", ping(t, s))
	enqueue(t, s, testJobs(1)...)
	wait(t, woken, "default")
}
