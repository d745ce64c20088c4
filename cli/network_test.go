package cli

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/faultproxy"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/worker"
)

// proxied is a new store on a server, with a client that reaches it through a proxy, and one that does not.
func proxied(t *testing.T, server *testservers.Server) (p *faultproxy.Proxy, through, direct *bellhop.Client) {
	t.Helper()
	address := newServerStore(t, server)
	p = faultproxy.New(t, address)
	return p, openClient(t, p.Through(address)), openClient(t, address)
}

func openClient(t *testing.T, address string) *bellhop.Client {
	t.Helper()
	client, err := bellhop.Open(t.Context(), address, bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // what it waits for may be gone
	return client
}

// drafts are jobs with ids of their own, so that the same may be enqueued again.
func drafts(n int) (list []bellhop.Draft, ids []bellhop.ID) {
	for range n {
		id := bellhop.NewID()
		list, ids = append(list, counted.New(struct{}{}, bellhop.WithID(id))), append(ids, id)
	}
	return list, ids
}

// TestEnqueueCutOff enqueues many jobs at once while the connection fails at any byte, on the way there or back: all of them are in the
// store or none is, the error says that this is not known, and doing it again makes each job exist once.
func TestEnqueueCutOff(t *testing.T) {
	const jobs = 300
	times := 9
	if testing.Short() {
		times = 3
	}
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			p, through, direct := proxied(t, s.shared(t))
			random := rand.New(rand.NewPCG(1, 2))
			for n := range times {
				list, ids := drafts(jobs)
				switch n % 3 {
				case 0:
					p.CutAfter(faultproxy.ToServer, random.IntN(60_000))
				case 1:
					p.CutAfter(faultproxy.ToClient, random.IntN(40))
				case 2:
					swallowed := p.SwallowReplies()
					go func() { <-swallowed; p.Restore(); p.Cut() }()
				}
				_, err := bellhop.Enqueue(t.Context(), through, list...)
				p.Restore()
				if err != nil && !errors.Is(err, bellhop.ErrUnknown) && !errors.Is(err, bellhop.ErrUnavailable) {
					t.Errorf("round %d: %v", n, err)
				}
				if err != nil && strings.Contains(err.Error(), "\n") {
					t.Errorf("round %d: an error of several lines: %v", n, err)
				}
				there := existing(t, direct, ids)
				if there != 0 && there != jobs || err == nil && there != jobs {
					t.Errorf("round %d: %d of %d jobs are there after %v", n, there, jobs, err)
				}
				if _, err := bellhop.Enqueue(t.Context(), direct, list...); err != nil {
					t.Errorf("round %d: again: %v", n, err)
				}
				if there := existing(t, direct, ids); there != jobs {
					t.Errorf("round %d: %d of %d jobs are there after doing it again", n, there, jobs)
				}
			}
			if n, err := direct.Count(t.Context(), bellhop.Filter{}, 100_000); err != nil || n != jobs*times {
				t.Errorf("%d jobs are in the store, want %d; %v", n, jobs*times, err)
			}
		})
	}
}

// existing counts the jobs that are in the store.
func existing(t *testing.T, client *bellhop.Client, ids []bellhop.ID) int {
	t.Helper()
	list, err := client.Store().Get(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// steady is a worker whose lease outlasts all that happens here.
var steady = worker.Config{Queues: worker.Queues{"default": 10}, Lease: 5 * time.Minute}

// TestWorkOnABadNetwork works while connections are cut and answers swallowed, so that neither claims nor outcomes are known to have
// arrived. As long as the lease lasts, a job that has run does not run again, and none is forgotten.
func TestWorkOnABadNetwork(t *testing.T) {
	const jobs = 1500
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			p, through, direct := proxied(t, s.shared(t))
			list, ids := drafts(jobs)
			if _, err := bellhop.Enqueue(t.Context(), direct, list...); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			// A worker that cannot reach its store from the start ends at once; the weather is fine until then.
			running := make(chan struct{})
			var weather sync.WaitGroup
			weather.Go(func() {
				<-running
				time.AfterFunc(time.Second, stop) // then the weather is fine
				random := rand.New(rand.NewPCG(3, 4))
				for ctx.Err() == nil {
					swallowed := p.SwallowReplies()
					select {
					case <-swallowed:
					case <-time.After(20 * time.Millisecond):
					case <-ctx.Done():
					}
					p.Restore()
					p.Cut()
					time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond) // a random moment is the point
				}
			})
			runs := counting(t, through, jobs, steady, func() { close(running) })
			stop()
			weather.Wait()
			settled(t, direct, ids, runs)
		})
	}
}

// settled sees that each job has run once and succeeded.
func settled(t *testing.T, client *bellhop.Client, ids []bellhop.ID, runs map[bellhop.ID]int) {
	t.Helper()
	found, err := client.Store().Get(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, job := range found {
		if runs[job.ID] != 1 || job.Place.State != bellhop.StateSucceeded || len(job.History) != 1 {
			bad++
			if bad <= 5 {
				t.Errorf("job %s has run %d times, is %s, and has %d records", job.ID, runs[job.ID], job.Place.State, len(job.History))
			}
		}
	}
	if bad > 5 || len(found) != len(ids) {
		t.Errorf("%d of %d jobs were not done once; %d were enqueued", bad, len(found), len(ids))
	}
}

// TestConnectionsForgotten has all connections fall silent while a worker works, without a reset, as when a cable is pulled and a firewall
// forgets them. The worker goes on, on new ones.
func TestConnectionsForgotten(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the timeouts of the stores")
	}
	const jobs = 2000
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			p, through, direct := proxied(t, s.shared(t))
			list, ids := drafts(jobs)
			if _, err := bellhop.Enqueue(t.Context(), direct, list...); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			runs := counting(t, through, jobs, steady, p.Forget)
			t.Logf("all done %v after the network went away", time.Since(began).Round(100*time.Millisecond))
			settled(t, direct, ids, runs)
		})
	}
}

// TestSmallPool has a hundred goroutines enqueue, and a worker work, on two connections.
func TestSmallPool(t *testing.T) {
	const goroutines, each = 100, 5
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			address := newServerStore(t, s.shared(t))
			p := faultproxy.New(t, address)
			client := openClient(t, at(t, p.Through(address), s.pool, "2"))
			var mu sync.Mutex
			var ids []bellhop.ID
			var all sync.WaitGroup
			for range goroutines {
				all.Go(func() {
					for range each {
						r, err := counted.Enqueue(t.Context(), client, struct{}{})
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						ids = append(ids, r.ID)
						mu.Unlock()
					}
				})
			}
			runs := counting(t, client, goroutines*each, worker.Config{Queues: worker.Queues{"default": 20}})
			all.Wait()
			settled(t, client, ids, runs)
			// One more may listen for news.
			if n := p.Connections(); n > 3 {
				t.Errorf("%d connections are open, want 2 and one to listen", n)
			}
		})
	}
}

// TestTimeZones has client and server live far from UTC and from each other, and a day that begins elsewhere.
func TestTimeZones(t *testing.T) {
	here := time.Local
	t.Cleanup(func() { time.Local = here })
	time.Local = time.FixedZone("here", -(9*3600 + 30*60)) // the servers are at +05:45
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			address := newServerStore(t, s.shared(t))
			if s.name == "postgres" {
				address = at(t, address, "timezone", "Pacific/Chatham")
			}
			client := openClient(t, address)
			due := time.Now().Add(36 * time.Hour).Truncate(time.Microsecond)
			far, err := counted.Enqueue(t.Context(), client, struct{}{}, bellhop.At(due))
			if err != nil {
				t.Fatal(err)
			}
			list, err := client.Store().Get(t.Context(), []bellhop.ID{far.ID})
			if err != nil || len(list) != 1 {
				t.Fatal(len(list), err)
			}
			if got := list[0].Place.Due; !got.Equal(due) {
				t.Errorf("it is due at %v, want %v", got, due)
			}
			if age := time.Since(list[0].EnqueuedAt); age < -time.Minute || age > time.Minute {
				t.Errorf("it was enqueued %v ago", age)
			}
			began := time.Now()
			if _, err := counted.Enqueue(t.Context(), client, struct{}{}, bellhop.In(time.Second)); err != nil {
				t.Fatal(err)
			}
			counting(t, client, 1, worker.Config{Queues: worker.Queues{"default": 1}})
			if took := time.Since(began); took < time.Second {
				t.Errorf("it ran after %v, a second was asked for", took)
			}
		})
	}
}

// TestBehindAPooler does everything behind a pooler that carries out each transaction on another connection.
func TestBehindAPooler(t *testing.T) {
	const jobs = 500
	server := testservers.Postgres(t)
	address := newServerStore(t, server)
	direct := openClient(t, address)
	p := faultproxy.NewPooler(t, server.Address)
	everything(t, at(t, p.Through(address), "pooler", "transaction"))
	list, ids := drafts(jobs)
	through := openClient(t, at(t, p.Through(address), "pooler", "transaction"))
	if _, err := bellhop.Enqueue(t.Context(), through, list...); err != nil {
		t.Fatal(err)
	}
	settled(t, direct, ids, counting(t, through, jobs, steady))
	if p.Transactions() < 10 {
		t.Errorf("only %d transactions went through the pooler", p.Transactions())
	}
	complains(t, at(t, p.Through(address)), exitUnavailable, []string{"pooler=transaction"}, "jobs", "list")
}
