package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/redis"
	"github.com/gobellhop/bellhop/store/storetest"
)

// ownServer opens a store on a server that the test may do anything to.
func ownServer(t *testing.T, conf ...string) (*testservers.Server, *redis.Store) {
	t.Helper()
	server := testservers.StartRedis(t, conf...)
	return server, openStore(t, opening{server.Address, "own", new(atomic.Int64)})
}

// hang is when something that is waited for is taken never to come. It measures nothing: a disk that stalls for seconds, again and
// again, is no fault of a store.
const hang = time.Minute

// eventually calls fn until it succeeds.
func eventually(t *testing.T, what string, fn func() error) {
	t.Helper()
	end := time.Now().Add(hang)
	for {
		err := fn()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond) // nobody tells when a server is back
	}
}

func ping(t *testing.T, s bellhop.Store) func() error {
	return func() error {
		_, err := s.Ping(t.Context())
		return err
	}
}

// When the server's memory is full, enqueueing fails in one line and changes
// nothing; all that ends or frees goes on.
func TestOutOfMemory(t *testing.T) {
	server := testservers.StartRedis(t, "maxmemory 12mb")
	s := openStore(t, opening{server.Address, "own", new(atomic.Int64)})
	c := client(t, server.Address)
	p := process(t, s)
	enqueue(t, s, testJobs(100)...)
	claims := claim(t, s, p, 50)
	var err error
	taken := 100
	for range 200 {
		jobs := testJobs(100)
		for _, j := range jobs {
			j.Args = []byte(`"` + strings.Repeat("x", 4000) + `"`)
		}
		if _, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs}); err != nil {
			break
		}
		taken += len(jobs)
	}
	if !errors.Is(err, bellhop.ErrUnavailable) || !errors.Is(err, bellhop.ErrUnchanged) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("enqueueing into a full memory: %v", err)
	}
	says(t, err, "memory is full")
	if n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{}, 100_000); n != taken || err != nil {
		t.Errorf("%d jobs are there (%v); want %d", n, err, taken)
	}
	c.ConfigSet(t.Context(), "maxmemory", "1mb") // further still
	if _, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)}); !errors.Is(err, bellhop.ErrUnchanged) {
		t.Errorf("enqueueing one: %v", err)
	}
	reply, err := s.Exchange(t.Context(), request(p, 10, succeeded(claims)...))
	if err != nil || len(reply.Refused) > 0 || len(reply.Claims) != 10 {
		t.Errorf("an exchange with a full memory: %+v, %v", reply, err)
	}
	if _, err := s.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: p}, Lease: time.Hour}); err != nil {
		t.Errorf("a beat with a full memory: %v", err)
	}
	if _, err := s.Sweep(t.Context(), 10); err != nil {
		t.Errorf("a sweep with a full memory: %v", err)
	}
	if _, _, err := s.Promote(t.Context(), 10); err != nil {
		t.Errorf("promoting with a full memory: %v", err)
	}
	if r, err := s.Act(t.Context(), &bellhop.ActRequest{Action: bellhop.ActDelete, Filter: bellhop.Filter{States: bellhop.States(bellhop.StateReady)}}); err != nil || len(r.Changed) == 0 {
		t.Errorf("deleting with a full memory: %+v, %v", r, err)
	}
	if _, err := s.Prune(t.Context(), 10); err != nil {
		t.Errorf("pruning with a full memory: %v", err)
	}
	// A large exchange is staged; that is let through as well.
	c.ConfigSet(t.Context(), "maxmemory", "0")
	enqueue(t, s, testJobs(200)...)
	claims = claim(t, s, p, 200)
	c.ConfigSet(t.Context(), "maxmemory", "1mb")
	outcomes := succeeded(claims)
	for i := range outcomes {
		outcomes[i].Result = []byte(`"` + strings.Repeat("r", 100_000) + `"`)
	}
	if reply, err := s.Exchange(t.Context(), request(p, 0, outcomes...)); err != nil || len(reply.Refused) > 0 {
		t.Errorf("a large exchange with a full memory: %+v, %v", reply, err)
	}
	c.ConfigSet(t.Context(), "maxmemory", "0")
	enqueue(t, s, testJobs(1)...)
}

// A key of another type makes what needs it fail in one line, and nothing is
// lost or done by half.
func TestKeyOfAnotherType(t *testing.T) {
	server := testservers.StartRedis(t, "enable-debug-command yes")
	for _, name := range []string{
		"jobs", "places", "numbers", "order|0", "blocks", "ready|j|default|test.job", "lanes|default", "scheduled|default", "due",
		"running|P", "cancels|P", "holders", "expiring", "counts", "unique", "paused", "leases", "processes", "holes", "dead",
	} {
		t.Run(name, func(t *testing.T) {
			o := openingOf(newStore(t, server.Address))
			s := openStore(t, o, redis.WithKeepFinished(0)) // so that exchanges delete as well
			c := client(t, o.address)
			ctx := t.Context()
			p := process(t, s)
			jobs := testJobs(20)
			jobs[0].UniqueKey, jobs[1].Delay = "key", time.Hour
			enqueue(t, s, jobs...)
			held := claim(t, s, p, 5)
			key := "{bellhop:" + o.namespace + "}:" + strings.Replace(name, "P", string(p[:]), 1)
			if err := c.Rename(ctx, key, key+".away").Err(); err != nil && !strings.Contains(err.Error(), "no such key") {
				t.Fatal(err)
			}
			var err error
			if name == "numbers" || name == "jobs" {
				err = c.SAdd(ctx, key, "foreign").Err()
			} else {
				err = c.HSet(ctx, key, "foreign", 1).Err()
				if strings.Contains("places counts unique processes running|P holes", name) {
					c.Del(ctx, key)
					err = c.SAdd(ctx, key, "foreign").Err()
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			before := fingerprint(t, c, o)
			failed := 0
			check := func(what string, err error) {
				t.Helper()
				if err == nil {
					return
				}
				failed++
				if !errors.Is(err, bellhop.ErrUnchanged) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "of another type") {
					t.Errorf("%s: %v", what, err)
				}
				if after := fingerprint(t, c, o); after != before {
					t.Errorf("%s failed and changed something:\n%s\n%s", what, before, after)
				}
			}
			more := testJobs(2)
			more[0].UniqueKey, more[1].Delay = "other", time.Minute
			_, err = s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: more})
			check("enqueue", err)
			before = fingerprint(t, c, o)
			_, err = s.Exchange(ctx, request(p, 5, succeeded(held)...))
			check("exchange", err)
			before = fingerprint(t, c, o)
			_, err = s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, IDs: []bellhop.ID{jobs[0].ID, jobs[1].ID, jobs[15].ID}})
			check("cancel", err)
			before = fingerprint(t, c, o)
			_, err = s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActDelete, IDs: []bellhop.ID{jobs[16].ID}})
			check("delete", err)
			before = fingerprint(t, c, o)
			_, err = s.Beat(ctx, &bellhop.Beat{Process: bellhop.Process{ID: bellhop.NewID()}, Lease: time.Hour})
			check("beat", err)
			if failed == 0 {
				t.Errorf("nothing needed the key %s", name)
			}
			findings, err := s.Diagnose(ctx)
			if !strings.Contains(fmt.Sprint(findings, err), "not ours") && !strings.Contains(fmt.Sprint(findings, err), "of another type") {
				t.Errorf("the diagnosis does not tell: %v, %v", findings, err)
			}
		})
	}
}

// fingerprint is all that the namespace holds.
func fingerprint(t *testing.T, c goredis.UniversalClient, o opening) string {
	t.Helper()
	var b strings.Builder
	for _, key := range sorted(keysOf(t, c, o.namespace)) {
		dump, err := c.Do(t.Context(), "DEBUG", "DIGEST-VALUE", key).StringSlice()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%q %s\n", key, dump)
	}
	return b.String()
}

// A server that is frozen or does not answer makes calls fail within their
// time; when it goes on, so does the store.
func TestFrozenServer(t *testing.T) {
	server, patient := ownServer(t)
	p := process(t, patient)
	enqueue(t, patient, testJobs(10)...)
	claims := claim(t, patient, p, 5)
	c := client(t, server.Address)
	var s *redis.Store
	eventually(t, "a store with little patience does not open", func() (err error) {
		s, err = redis.Open(t.Context(), server.Address, append(openingOf(patient).options(), redis.WithTimeout(500*time.Millisecond))...)
		return err
	})
	defer s.Close()
	for name, freeze := range map[string]func() (thaw func()){
		"SIGSTOP":      func() func() { server.Freeze(); return server.Thaw },
		"CLIENT PAUSE": func() func() { c.Do(t.Context(), "CLIENT", "PAUSE", 5000); return func() {} }, // ends by itself
	} {
		t.Run(name, func(t *testing.T) {
			thaw := freeze()
			began := time.Now()
			_, err := s.Exchange(t.Context(), request(p, 5))
			if !errors.Is(err, bellhop.ErrUnavailable) || errors.Is(err, bellhop.ErrUnchanged) {
				t.Errorf("an exchange with a server that does not answer: %v", err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the call took %v with a timeout of 500ms", took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := s.Get(ctx, []bellhop.ID{claims[0].Job.ID}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call whose context has ended: %v", err)
			}
			thaw()
			eventually(t, "the store does not come back", ping(t, s))
		})
	}
	eventually(t, "outcomes are not taken", func() error {
		reply, err := s.Exchange(t.Context(), request(p, 0, succeeded(claims)...))
		if err == nil && len(reply.Refused) > 0 {
			err = fmt.Errorf("refused: %v", reply.Refused)
		}
		return err
	})
}

// A server that is killed and started again has all that was acknowledged, and
// the store goes on with it: scripts are sent anew.
func TestKilledServer(t *testing.T) {
	server, s := ownServer(t, "appendfsync always")
	if d := s.Capabilities().Durability; !strings.Contains(d, "appendfsync always") || !strings.Contains(d, "loss of power") {
		t.Errorf("Durability: %q", d)
	}
	p := process(t, s)
	jobs := testJobs(2000)
	enqueue(t, s, jobs...)
	claims := claim(t, s, p, 1000)
	if _, err := s.Exchange(t.Context(), request(p, 0, succeeded(claims[:500])...)); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if _, err := s.Ping(t.Context()); !errors.Is(err, bellhop.ErrUnavailable) {
		t.Errorf("ping of a killed server: %v", err)
	}
	server.Start()
	eventually(t, "the store does not come back", ping(t, s))
	for state, want := range map[bellhop.State]int{bellhop.StateReady: 1000, bellhop.StateRunning: 500, bellhop.StateSucceeded: 500} {
		if n, err := storetest.CountAll(t.Context(), s, bellhop.Filter{States: bellhop.States(state)}, 10_000); n != want || err != nil {
			t.Errorf("%d jobs are %s (%v); want %d", n, state, err, want)
		}
	}
	reply, err := s.Exchange(t.Context(), request(p, 1000, succeeded(claims[500:])...))
	if err != nil || len(reply.Refused) != 0 || len(reply.Claims) != 1000 {
		t.Errorf("after the restart: %d claims, %d refused, %v", len(reply.Claims), len(reply.Refused), err)
	}
}

// SCRIPT FLUSH takes the scripts away while they are in use.
func TestScriptFlush(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	c := client(t, openingOf(s).address)
	done := make(chan struct{})
	flushed := make(chan error, 1)
	go func() {
		for {
			select {
			case <-done:
				flushed <- nil
				return
			default:
				if err := c.ScriptFlush(context.Background()).Err(); err != nil {
					flushed <- err
					return
				}
			}
		}
	}()
	p := process(t, s)
	for range 50 {
		enqueue(t, s, testJobs(3)...)
		if _, err := s.Exchange(t.Context(), request(p, 0, succeeded(claim(t, s, p, 3))...)); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	if err := <-flushed; err != nil {
		t.Error(err)
	}
}

// When the master becomes a replica, writes fail without effect; when the
// former replica has become the master and stands at the Sentinels' address,
// the store goes on there.
func TestFailover(t *testing.T) {
	master := testservers.StartRedis(t, "min-replicas-max-lag 1")
	replica := testservers.StartRedis(t)
	port := func(address string) (string, string) {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return u.Hostname(), u.Port()
	}
	ctx := t.Context()
	cm, cr := client(t, master.Address), client(t, replica.Address)
	host, number := port(master.Address)
	cr.Do(ctx, "REPLICAOF", host, number)
	var current atomic.Pointer[string]
	current.Store(&number)
	// The client is told where the master is as Sentinels would tell it.
	switched := goredis.NewClient(&goredis.Options{
		Addr: "the master", MaxRetries: -1, ContextTimeoutEnabled: true,
		Dialer: dialer(func() string { return host + ":" + *current.Load() }),
	})
	defer switched.Close()
	s, err := redis.New(ctx, switched)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	enqueue(t, s, testJobs(100)...)
	eventually(t, "the replica does not follow", func() error {
		if n := cr.HLen(ctx, "{bellhop:default}:places").Val(); n != 100 {
			return fmt.Errorf("it has %d jobs", n)
		}
		return nil
	})
	replicaHost, replicaPort := port(replica.Address)
	cr.Do(ctx, "REPLICAOF", "NO", "ONE")
	cm.Do(ctx, "REPLICAOF", replicaHost, replicaPort)
	_, err = s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	if !errors.Is(err, bellhop.ErrUnavailable) || !errors.Is(err, bellhop.ErrUnchanged) {
		t.Errorf("enqueueing on what is a replica now: %v", err)
	}
	says(t, err, "it is a replica")
	current.Store(&replicaPort)
	eventually(t, "the store does not come to the new master", func() error {
		_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(1)})
		return err
	})
	if n, err := storetest.CountAll(ctx, s, bellhop.Filter{}, 1000); n != 101 || err != nil {
		t.Errorf("%d jobs are there (%v); want 101", n, err)
	}
}
