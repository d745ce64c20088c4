package mysql_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/mysql"
	"github.com/gobellhop/bellhop/store/storetest"
)

// A pool of two connections serves a hundred callers, and beats find their way.
func TestPoolOfTwo(t *testing.T) {
	address := spare.take(t)
	own := openAt(t, address+"?connections=2")
	pool := raw(t, address)
	pool.SetMaxOpenConns(2)
	theirs, err := mysql.New(t.Context(), pool)
	must(t, err)
	t.Cleanup(func() { _ = theirs.Close() })
	for name, s := range map[string]*mysql.Store{"own": own, "theirs": theirs} {
		t.Run(name, func(t *testing.T) { crowd(t, s) })
	}
}

func crowd(t *testing.T, s *mysql.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			p := testProcess()
			if _, err := s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour}); err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(2)}); err != nil {
				t.Error(err)
			}
			reply, err := s.Exchange(ctx, request(p, 2))
			if err != nil {
				t.Error(err)
				return
			}
			r := request(p, 0)
			r.Outcomes = settled(reply.Claims)
			if _, err := s.Exchange(ctx, r); err != nil {
				t.Error(err)
			}
			if i%10 == 0 {
				f := bellhop.Filter{States: bellhop.States(bellhop.StateReady)}
				if _, err := s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, Filter: f, Limit: 5}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

// Pools of the caller's work whatever they count, however they send arguments,
// whatever their time zone and isolation are.
func TestCallersPools(t *testing.T) {
	for name, set := range map[string]func(*driver.Config){
		"as the driver's defaults are": func(c *driver.Config) { c.InterpolateParams, c.MultiStatements = false, false },
		"counting rows that are found": func(c *driver.Config) { c.ClientFoundRows = true },
		"without backslashes":          params("sql_mode", "'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,ANSI_QUOTES'"),
		"in another time zone":         params("time_zone", "'-11:00'"),
		"serializable":                 params("tx_isolation", "'SERIALIZABLE'"),
		"without autocommit":           params("autocommit", "0"),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := mysql.New(t.Context(), raw(t, spare.take(t), set))
			must(t, err)
			t.Cleanup(func() { _ = s.Close() })
			lifeOfJobs(t, s)
		})
	}
}

func params(name, value string) func(*driver.Config) {
	return func(c *driver.Config) { c.Params = map[string]string{name: value} }
}

// lifeOfJobs leads jobs through most verbs, and repeats what may be repeated:
// there a server can count a row as changed that was not, or the other way round.
func lifeOfJobs(t *testing.T, s *mysql.Store) {
	ctx, p := t.Context(), testProcess()
	for range 2 {
		_, err := s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour})
		must(t, err)
	}
	jobs := testJobs(4)
	jobs[0].UniqueKey, jobs[1].UniqueKey = "key", "key"
	jobs[3].Args = []byte(`{"text":"it's \"quoted\" \\ and 😀"}`)
	for again := range 2 {
		receipts, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs})
		must(t, err)
		for i, r := range receipts {
			if want := again == 1 || i == 1; r.Existing != want {
				t.Errorf("call %d, job %d: existing %v; want %v", again, i, r.Existing, want)
			}
		}
	}
	r := request(p, 10)
	reply, err := s.Exchange(ctx, r)
	must(t, err)
	if len(reply.Claims) != 3 || !bytes.Equal(reply.Claims[2].Job.Args, jobs[3].Args) {
		t.Fatalf("claimed %d jobs", len(reply.Claims))
	}
	if repeated, err := s.Exchange(ctx, r); err != nil || len(repeated.Claims) != 3 {
		t.Errorf("the exchange again: %d claims, %v", len(repeated.Claims), err)
	}
	reports := []bellhop.Report{{Token: reply.Claims[0].Token, Started: true, Progress: []byte(`{"done":1}`)}}
	for range 2 {
		if refused, err := s.Report(ctx, reports); err != nil || len(refused) > 0 {
			t.Errorf("the same report: refused %v, %v", refused, err)
		}
	}
	for range 2 {
		_, err := s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActCancel, IDs: []bellhop.ID{jobs[0].ID}, Reason: "same"})
		must(t, err)
	}
	last := request(p, 0)
	last.Outcomes = settled(reply.Claims)
	last.Outcomes[1].Kind, last.Outcomes[1].Wait = bellhop.OutcomeRetry, time.Minute
	for range 2 {
		done, err := s.Exchange(ctx, last)
		if err != nil || len(done.Refused) > 0 {
			t.Errorf("the same outcomes: refused %v, %v", done.Refused, err)
		}
	}
	mysql.Advance(s, 2*time.Minute)
	if n, _, err := s.Promote(ctx, 10); n != 1 || err != nil {
		t.Errorf("promoted %d, %v", n, err)
	}
	for state, want := range map[bellhop.State]int{bellhop.StateSucceeded: 2, bellhop.StateReady: 1} {
		if n, err := storetest.CountAll(ctx, s, bellhop.Filter{States: bellhop.States(state)}, 10); n != want || err != nil {
			t.Errorf("%d jobs are %v, %v; want %d", n, state, err, want)
		}
	}
	records := []bellhop.RecordWrite{{Space: "s", Key: "k", Value: []byte("v"), Expect: bellhop.ExpectNone}}
	must(t, s.Put(ctx, records))
	if err := s.Put(ctx, records); err == nil {
		t.Error("a record that is there was written as new")
	}
}

// A pool whose sessions would alter values is refused in one line.
func TestPoolsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*driver.Config)
		want string
	}{
		"not strict":  {params("sql_mode", "''"), "not strict"},
		"other words": {params("sql_mode", "'STRICT_ALL_TABLES,EMPTY_STRING_IS_NULL'"), "read SQL in another way"},
		"latin1":      {func(c *driver.Config) { must(t, c.Apply(driver.Charset("latin1", ""))) }, "charset=utf8mb4"},
		"no database": {func(c *driver.Config) { c.DBName = "" }, "chosen no database"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := mysql.New(t.Context(), raw(t, spare.take(t), c.set))
			if err == nil {
				_ = s.Close()
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %q; want %q in it", err, c.want)
			}
		})
	}
}

// Names that differ in case or in a space at the end are different, and bytes
// come back as they went in.
func TestBytesAreKept(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	jobs := testJobs(6)
	for i, key := range []string{"a", "A", "a ", "á", "ａ", "😀"} {
		jobs[i].UniqueKey, jobs[i].Queue = key, "q"+[]string{"a", "A", "a.", "b", "B", "c"}[i]
	}
	receipts, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs})
	must(t, err)
	for i, r := range receipts {
		if r.Existing {
			t.Errorf("the key %q was taken for another", jobs[i].UniqueKey)
		}
	}
	if n, err := storetest.CountAll(ctx, s, bellhop.Filter{Queues: []string{"qa"}}, 10); n != 1 || err != nil {
		t.Errorf("%d jobs in one queue, %v", n, err)
	}
	for _, size := range []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 1<<20 - 1, 1 << 20} {
		j := testJobs(1)[0]
		j.Args = fmt.Appendf(nil, `"%s"`, strings.Repeat(`\"😀'`, size)[:size/7*7-7])
		_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}})
		must(t, err)
		found, err := s.Get(ctx, []bellhop.ID{j.ID})
		must(t, err)
		if len(found) != 1 || !bytes.Equal(found[0].Args, j.Args) {
			t.Errorf("arguments of %d bytes have changed", len(j.Args))
		}
	}
}

// Job numbers are the server's time and something random. With a clock that stands
// still, calls often come by numbers that are taken: they try again, and nothing
// is mistaken for what another call has added.
func TestNumbersThatAreTaken(t *testing.T) {
	ctx := t.Context()
	s, err := mysql.New(ctx, raw(t, spare.take(t), params("timestamp", "1800000000.000001")))
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	p := testProcess()
	_, err = s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	const calls = 250 // of 2048 numbers: two calls meet with a probability beyond 1 - 1e-6
	var ids []bellhop.ID
	claimed := map[bellhop.ID]bool{}
	for i := range calls {
		jobs := testJobs(1)
		_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: jobs})
		must(t, err)
		if ids = append(ids, jobs[0].ID); i%2 == 1 { // so that some numbers belong to jobs that are no longer ready
			continue
		}
		reply, err := s.Exchange(ctx, request(p, 10))
		must(t, err)
		for _, c := range reply.Claims {
			if claimed[c.Job.ID] {
				t.Errorf("job %s is claimed twice", c.Job.ID)
			}
			claimed[c.Job.ID] = true
		}
	}
	found, err := s.Get(ctx, ids)
	must(t, err)
	if len(found) != calls {
		t.Errorf("%d jobs were accepted, %d are there", calls, len(found))
	}
}

// A job of a known kind that comes while a claim makes its way past unknown ones
// is found by the next.
func TestJobThatComesBesideUnknownOnes(t *testing.T) {
	s := newStore(t)
	others := reopen(t, s)
	unknown, late := testJobs(3), testJobs(1)
	for _, j := range unknown {
		j.Kind = "unknown"
	}
	_, err := others.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: unknown})
	must(t, err)
	p := testProcess()
	_, err = s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	s.SetStep(func(ctx context.Context, _ bellhop.Op, statement string, done bool) error {
		if !done || statement != "first of known kinds" || late == nil {
			return nil
		}
		_, err := others.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: late})
		late = nil
		return err
	})
	claims := 0
	for range 2 {
		reply, err := s.Exchange(t.Context(), request(p, 5))
		must(t, err)
		claims += len(reply.Claims)
	}
	if claims != 1 {
		t.Errorf("%d claims, want the job that came during the first look", claims)
	}
}
