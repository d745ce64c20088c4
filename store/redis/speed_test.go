package redis_test

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// cpu is the processor time of the server and of this process, in microseconds.
type cpu struct{ server, client float64 }

func cpuOf(t testing.TB, c goredis.UniversalClient) (used cpu) {
	t.Helper()
	text, err := c.Info(t.Context(), "cpu").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			seconds, _ := strconv.ParseFloat(value, 64)
			used.server += seconds * 1e6
		}
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		t.Fatal(err)
	}
	used.client = float64(own.Utime.Nano()+own.Stime.Nano()) / 1e3
	return used
}

// perJob reports the processor time of both sides for each of b.N jobs.
func perJob(b *testing.B, c goredis.UniversalClient, before cpu) {
	after := cpuOf(b, c)
	b.ReportMetric((after.server-before.server)/float64(b.N), "server-µs/job")
	b.ReportMetric((after.client-before.client)/float64(b.N), "client-µs/job")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

const speedKind = "bench.job"

func speedJobs(n int) []*bellhop.Job {
	jobs := make([]*bellhop.Job, n)
	for i := range jobs {
		jobs[i] = &bellhop.Job{
			ID: bellhop.NewID(), Kind: speedKind, Queue: "default", Attempts: 25,
			Args: []byte(`{"user":4711,"name":"somebody","n":1234567890}`),
		}
	}
	return jobs
}

// BenchmarkSpeed measures bulk enqueues and drains by exchanges of 1000, with
// the processor time of both sides, beside the least that could be written by hand.
func BenchmarkSpeed(b *testing.B) {
	address := testservers.Redis(b).Address
	c := client(b, address)
	b.Run("store/enqueue", func(b *testing.B) {
		s := newStore(b, address)
		before := cpuOf(b, c)
		b.ResetTimer()
		enqueueMany(b, s, b.N)
		b.StopTimer()
		perJob(b, c, before)
	})
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run("store/drain="+strconv.Itoa(size), func(b *testing.B) {
			s := newStore(b, address)
			enqueueMany(b, s, b.N)
			p := speedProcess(b, s)
			before := cpuOf(b, c)
			b.ResetTimer()
			drain(b, s, p, size, b.N)
			b.StopTimer()
			perJob(b, c, before)
		})
	}
	for _, size := range []int{100, 1000} {
		b.Run("minimum/drain="+strconv.Itoa(size), func(b *testing.B) {
			m := newMinimum(b, c)
			m.enqueue(b, b.N)
			before := cpuOf(b, c)
			b.ResetTimer()
			m.drain(b, size, b.N)
			b.StopTimer()
			perJob(b, c, before)
		})
	}
}

func enqueueMany(b *testing.B, s bellhop.Store, n int) {
	for ; n > 0; n -= 1000 {
		if _, err := s.Enqueue(b.Context(), &bellhop.EnqueueRequest{Jobs: speedJobs(min(n, 1000))}); err != nil {
			b.Fatal(err)
		}
	}
}

func speedProcess(b *testing.B, s bellhop.Store) bellhop.ID {
	p := bellhop.Process{ID: bellhop.NewID(), Name: "bench"}
	if _, err := s.Beat(b.Context(), &bellhop.Beat{Process: p, Lease: time.Hour}); err != nil {
		b.Fatal(err)
	}
	return p.ID
}

func drain(b *testing.B, s bellhop.Store, p bellhop.ID, size, n int) {
	var outcomes []bellhop.Outcome
	for n > 0 || len(outcomes) > 0 {
		r := &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Process: p, Limit: min(size, n), Kinds: []string{speedKind}, Outcomes: outcomes,
			Wants: []bellhop.Want{{Queue: "default", Count: size}},
		}
		reply, err := s.Exchange(b.Context(), r)
		if err != nil || n > 0 && len(reply.Claims) == 0 {
			b.Fatalf("%d jobs are left, and none was claimed: %v", n, err)
		}
		n -= len(reply.Claims)
		outcomes = make([]bellhop.Outcome, len(reply.Claims))
		for i := range reply.Claims {
			claim := &reply.Claims[i]
			outcomes[i] = claim.Settle(bellhop.Policy{}, bellhop.Return{Started: claim.Place.ClaimedAt, Ended: claim.Place.ClaimedAt})
		}
	}
}

// minimum is the least that claims safely and keeps jobs with a record of their
// attempt: a list of ids, a hash of jobs, a sorted set of leases.
type minimum struct {
	c             goredis.UniversalClient
	claim, finish *goredis.Script
	key           string
}

func newMinimum(b *testing.B, c goredis.UniversalClient) *minimum {
	m := &minimum{c: c, key: "{minimum:" + bellhop.NewID().String() + "}", claim: goredis.NewScript(`
		local ids = redis.call('LPOP', KEYS[1] .. 'ready', ARGV[1])
		if not ids then return {} end
		local now = redis.call('TIME')[1]
		local leases = {}
		for i = 1, #ids do leases[2 * i - 1], leases[2 * i] = now, ids[i] end
		redis.call('ZADD', KEYS[1] .. 'running', unpack(leases))
		return {ids, redis.call('HMGET', KEYS[1] .. 'jobs', unpack(ids))}`), finish: goredis.NewScript(`
		local done, ids = {}, {}
		for i = 1, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
		redis.call('ZREM', KEYS[1] .. 'running', unpack(ids))
		redis.call('HSET', KEYS[1] .. 'done', unpack(ARGV))
		return 1`)}
	b.Cleanup(func() { c.Del(context.Background(), m.key+"ready", m.key+"jobs", m.key+"running", m.key+"done") })
	return m
}

func (m *minimum) enqueue(b *testing.B, n int) {
	for ; n > 0; n -= 1000 {
		var jobs, ids []any
		for _, j := range speedJobs(min(n, 1000)) {
			jobs, ids = append(jobs, j.ID[:], j.Args), append(ids, j.ID[:])
		}
		if err := m.c.HSet(b.Context(), m.key+"jobs", jobs...).Err(); err != nil {
			b.Fatal(err)
		}
		if err := m.c.RPush(b.Context(), m.key+"ready", ids...).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

func (m *minimum) drain(b *testing.B, size, n int) {
	for n > 0 {
		reply, err := m.claim.Run(b.Context(), m.c, []string{m.key}, size).Slice()
		if err != nil || len(reply) < 2 {
			b.Fatalf("%d jobs are left, and none was claimed: %v", n, err)
		}
		ids := reply[0].([]any)
		n -= len(ids)
		var done []any
		for _, id := range ids {
			done = append(done, id, "succeeded 1795700000000000 1795700000000001 1795700000000002")
		}
		if err := m.finish.Run(b.Context(), m.c, []string{m.key}, done...).Err(); err != nil {
			b.Fatal(err)
		}
	}
}
