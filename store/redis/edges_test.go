package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/storetest"
)

// A filter finds what Filter.Matches says, also for words that no name can be and
// for bytes that stand beside the arguments.
func TestFilterOfOddWords(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	j := testJobs(1)[0]
	j.Tags, j.Retention = []string{"a", "b"}, time.Hour+'x' // whose last byte stands before the arguments
	enqueue(t, s, j)
	for _, f := range []bellhop.Filter{
		{Tags: []string{"a", "b"}},
		{Tags: []string{"a|b"}},
		{Tags: []string{""}},
		{Tags: []string{"a", "|"}},
		{Queues: []string{"default"}},
		{Queues: []string{"other|default"}},
		{Queues: []string{""}},
		{Queues: []string{"default|test.job"}},
		{Kinds: []string{"other", testKind}},
		{Kinds: []string{"other|" + testKind}},
		{Kinds: []string{"", "|"}},
		{Text: `{"n"`},
		{Text: `x{"n"`},
		{Text: "x"},
		{Text: "\x00"},
		{Text: `1}`},
		{Text: `1} `},
	} {
		want := 0
		if f.Matches(j, &bellhop.Place{State: bellhop.StateReady}, nil) {
			want = 1
		}
		if n, err := storetest.CountAll(t.Context(), s, f, 10); n != want || err != nil {
			t.Errorf("%+v: %d jobs match (%v); want %d", f, n, err, want)
		}
	}
}

// A job whose bytes are lost cannot be run: it is dead, and says why, whoever finds
// it: the exchange that claims it, the beat of a process that holds it, or the sweep.
func TestJobWithoutBytes(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	c, o := client(t, openingOf(s).address), openingOf(s)
	lose := func(j *bellhop.Job) {
		t.Helper()
		if n, err := c.HDel(t.Context(), "{bellhop:"+o.namespace+"}:jobs", string(j.ID[:])).Result(); n != 1 || err != nil {
			t.Fatalf("%d jobs have lost their bytes (%v); want 1", n, err)
		}
	}
	for _, finder := range []string{"exchange", "beat", "sweep"} {
		p := process(t, s)
		jobs := testJobs(2)
		jobs[0].Args = []byte(`"` + strings.Repeat("x", 300) + `"`)
		enqueue(t, s, jobs...)
		if finder == "exchange" {
			lose(jobs[0])
		}
		reply, err := s.Exchange(t.Context(), request(p, 2))
		if err != nil || finder == "exchange" && (len(reply.Claims) != 1 || reply.Claims[0].Job.ID != jobs[1].ID) {
			t.Fatalf("%s: claimed %+v, %v", finder, reply, err)
		}
		if finder != "exchange" {
			lose(jobs[0])
			_, err = s.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: p}, Lease: time.Hour, Leave: finder == "sweep"})
		}
		if err != nil {
			t.Fatal(err)
		}
		if claims, err := s.Sweep(t.Context(), 10); err != nil || finder == "sweep" && (len(claims) != 1 || claims[0].Job.ID != jobs[1].ID) {
			t.Errorf("%s: swept %+v, %v", finder, claims, err)
		}
		listing, err := s.List(t.Context(), &bellhop.Query{Filter: bellhop.Filter{States: bellhop.States(bellhop.StateDead)}})
		if err != nil || len(listing.Jobs) != 1 || listing.Jobs[0].ID != jobs[0].ID || !strings.Contains(listing.Jobs[0].Place.Reason, "bytes are lost") {
			t.Errorf("%s: dead are %+v, %v", finder, listing, err)
		}
		if r, err := s.Act(t.Context(), &bellhop.ActRequest{Action: bellhop.ActDelete, IDs: []bellhop.ID{jobs[0].ID}}); err != nil || len(r.Changed) != 1 {
			t.Errorf("%s: delete: %+v, %v", finder, r, err)
		}
		if _, err := s.Exchange(t.Context(), request(p, 0, succeeded(reply.Claims)...)); err != nil && finder != "sweep" {
			t.Fatal(err)
		}
	}
}

// The unique key of a job whose bytes are lost or damaged is free when the job has died, though nobody can tell by the job which
// key it was; and the job never takes it from another, also if somebody runs it again [E4, E5].
func TestKeyOfJobWithoutBytes(t *testing.T) {
	for name, bytes := range map[string]string{"lost": "", "cut": "\x00", "damaged": "\xff\xff\xff\xff\xff\xff\xff"} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, testservers.Redis(t).Address)
			c, o := client(t, openingOf(s).address), openingOf(s)
			p := process(t, s)
			jobs := testJobs(4)
			for _, j := range jobs {
				j.UniqueKey, j.Args = "key", []byte(`"`+strings.Repeat("x", 300)+`"`)
			}
			add := func(j *bellhop.Job, holder *bellhop.Job) {
				t.Helper()
				receipts, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}})
				if err != nil || receipts[0].ID != holder.ID || receipts[0].Existing != (holder != j) {
					t.Fatalf("the receipt is %+v, %v; want job %s to hold the key", receipts, err, holder.ID)
				}
			}
			act := func(action bellhop.Action, j *bellhop.Job) {
				t.Helper()
				if r, err := s.Act(t.Context(), &bellhop.ActRequest{Action: action, IDs: []bellhop.ID{j.ID}}); err != nil || len(r.Changed) != 1 {
					t.Fatalf("%s: %+v, %v", action, r, err)
				}
			}
			die := func() {
				t.Helper()
				if reply, err := s.Exchange(t.Context(), request(p, 1)); err != nil || len(reply.Claims) > 0 {
					t.Fatalf("claimed %+v, %v", reply, err)
				}
				found, err := s.Get(t.Context(), []bellhop.ID{jobs[0].ID})
				if err != nil || found[0].Place.State != bellhop.StateDead {
					t.Fatalf("the job is %+v, %v", found, err)
				}
			}
			add(jobs[0], jobs[0])
			key := "{bellhop:" + o.namespace + "}:jobs"
			if bytes == "" {
				c.HDel(t.Context(), key, string(jobs[0].ID[:]))
			} else {
				c.HSet(t.Context(), key, string(jobs[0].ID[:]), bytes)
			}
			add(jobs[1], jobs[0]) // it lives as long as nobody has looked
			if _, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs[:1]}); !errors.Is(err, bellhop.ErrIDTaken) {
				t.Errorf("the same job again: %v; of one without bytes nobody knows that it is the same", err)
			}
			die()
			act(bellhop.ActRetry, jobs[0])
			add(jobs[1], jobs[0]) // it lives again
			die()
			add(jobs[1], jobs[1])
			act(bellhop.ActRetry, jobs[0])
			act(bellhop.ActCancel, jobs[0])
			add(jobs[2], jobs[1])
			act(bellhop.ActDelete, jobs[0])
			add(jobs[2], jobs[1])
			act(bellhop.ActCancel, jobs[1])
			add(jobs[2], jobs[2])
		})
	}
}

// A search that looks into jobs goes past one whose bytes are lost or damaged, which fits nothing.
func TestSearchAmongDamagedJobs(t *testing.T) {
	for name, bytes := range map[string]string{"lost": "", "cut": "\x00", "damaged": "\xff\xff\xff\xff\xff\xff\xff"} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, testservers.Redis(t).Address)
			jobs := testJobs(2)
			for _, j := range jobs {
				j.Tags, j.Args = []string{"red"}, []byte(`"`+strings.Repeat("x", 300)+`"`)
			}
			enqueue(t, s, jobs...)
			c, key := client(t, openingOf(s).address), "{bellhop:"+openingOf(s).namespace+"}:jobs"
			if bytes == "" {
				c.HDel(t.Context(), key, string(jobs[0].ID[:]))
			} else {
				c.HSet(t.Context(), key, string(jobs[0].ID[:]), bytes)
			}
			for _, f := range []bellhop.Filter{{Tags: []string{"red"}}, {Text: "xxx"}, {Args: []bellhop.ArgMatch{{Path: "", Value: strings.Repeat("x", 300)}}}} {
				l, err := s.List(t.Context(), &bellhop.Query{Filter: f})
				if err != nil || len(l.Jobs) != 1 || l.Jobs[0].ID != jobs[1].ID {
					t.Errorf("%+v finds %+v, %v; want the job that is whole", f, l, err)
				}
			}
			r, err := s.Act(t.Context(), &bellhop.ActRequest{Action: bellhop.ActCancel, Filter: bellhop.Filter{Tags: []string{"red"}}})
			if err != nil || !slices.Equal(r.Changed, []bellhop.ID{jobs[1].ID}) {
				t.Errorf("cancelled %+v, %v; want the job that is whole", r, err)
			}
		})
	}
}

// A call that only reads may be too large for one command as well.
func TestGetOfVeryMany(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	jobs := testJobs(2)
	enqueue(t, s, jobs...)
	ids := make([]bellhop.ID, 60_000)
	for i := range ids {
		ids[i] = bellhop.NewID()
	}
	ids[0], ids[len(ids)-1] = jobs[0].ID, jobs[1].ID
	found, err := s.Get(t.Context(), ids)
	if err != nil || len(found) != 2 || found[0].ID != jobs[0].ID || found[1].ID != jobs[1].ID {
		t.Errorf("got %d jobs, %v; want the 2 that are there", len(found), err)
	}
}

// A job that was run again by a person expires when its second end says, though a
// group of ids still names it by its first.
func TestPruneAfterRunAgain(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	p := process(t, s)
	enqueue(t, s, testJobs(3)...)
	end := func(keep time.Duration, n int) (last bellhop.ID) {
		t.Helper()
		outcomes := succeeded(claim(t, s, p, n))
		for i := range outcomes {
			outcomes[i].Keep = keep
		}
		if _, err := s.Exchange(t.Context(), request(p, 0, outcomes...)); err != nil {
			t.Fatal(err)
		}
		return outcomes[n-1].Token.JobID
	}
	again := end(time.Minute, 3)
	if r, err := s.Act(t.Context(), &bellhop.ActRequest{Action: bellhop.ActRetry, IDs: []bellhop.ID{again}}); err != nil || len(r.Changed) != 1 {
		t.Fatalf("run again: %+v, %v", r, err)
	}
	end(time.Hour/2, 1)
	prune := func(want int) {
		t.Helper()
		if n, err := s.Prune(t.Context(), 2); n != want || err != nil {
			t.Errorf("pruned %d, %v; want %d", n, err, want)
		}
	}
	advance(s, 2*time.Minute)
	prune(2)
	prune(0)
	advance(s, time.Hour/2)
	prune(1)
}

// Names of deleted jobs among those that expire do not make one script long.
func TestPruneOfManyDeleted(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	p := process(t, s)
	const n = 3000
	for i := range n / 500 {
		enqueue(t, s, testJobs(500)...)
		outcomes := succeeded(claim(t, s, p, 500))
		for k := range outcomes {
			outcomes[k].Keep = time.Minute + time.Duration(500*i+k)*time.Microsecond // so that each stands alone
		}
		if _, err := s.Exchange(t.Context(), request(p, 0, outcomes...)); err != nil {
			t.Fatal(err)
		}
	}
	remove := &bellhop.ActRequest{Action: bellhop.ActDelete, Filter: bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}}
	for {
		reply, err := s.Act(t.Context(), remove)
		if err != nil {
			t.Fatal(err)
		}
		if remove.After = reply.Next; remove.After == "" {
			break
		}
	}
	enqueue(t, s, testJobs(1)...)
	outcomes := succeeded(claim(t, s, p, 1))
	outcomes[0].Keep = 2 * time.Minute
	if _, err := s.Exchange(t.Context(), request(p, 0, outcomes...)); err != nil {
		t.Fatal(err)
	}
	advance(s, time.Hour)
	pruned := []int{}
	for range 10 {
		n, err := s.Prune(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if pruned = append(pruned, n); n > 0 {
			break
		}
	}
	if !slices.Equal(pruned, []int{0, 0, 1}) {
		t.Errorf("pruned %v; want 1 in the third call, because each looks at a thousand and a few", pruned)
	}
}

// Of many queues those jobs are promoted that are due first.
func TestPromoteManyQueues(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	var jobs []*bellhop.Job
	for i, j := range testJobs(600) {
		j.Queue = fmt.Sprint("q", i*i%37)
		if i%3 == 0 {
			j.Queue = "busy"
		}
		j.Delay = time.Minute + time.Duration(i*7919%600)*time.Second/10
		jobs = append(jobs, j)
	}
	enqueue(t, s, jobs...)
	ids := make([]bellhop.ID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	advance(s, time.Minute+30*time.Second)
	ready := 0
	for _, limit := range []int{0, 1, 7, 30, 100, 1000} {
		n, _, err := s.Promote(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		ready += n
		found, err := s.Get(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(found, func(a, b bellhop.Snapshot) int { return a.Place.Due.Compare(b.Place.Due) })
		for i, j := range found {
			if is := j.Place.State == bellhop.StateReady; is != (i < ready) {
				t.Fatalf("after promoting %d: job %d in the order of due times is %s", ready, i, j.Place.State)
			}
		}
		if n != limit && limit < 1000 {
			t.Errorf("promoted %d; want %d", n, limit)
		}
	}
	if ready < 250 || ready > 350 {
		t.Errorf("promoted %d in all; about half of them are due", ready)
	}
}

// Of many claims that nobody holds the oldest are returned.
func TestSweepOfMany(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	enqueue(t, s, testJobs(600)...)
	processes := []bellhop.ID{process(t, s), process(t, s), process(t, s)}
	var all []bellhop.Claim
	for i := range 60 {
		all = append(all, claim(t, s, processes[i%3], 10)...)
		advance(s, time.Millisecond)
	}
	advance(s, 2*time.Hour)
	slices.SortFunc(all, func(a, b bellhop.Claim) int {
		if c := a.Place.ClaimedAt.Compare(b.Place.ClaimedAt); c != 0 {
			return c
		}
		return a.Job.ID.Compare(b.Job.ID)
	})
	for _, limit := range []int{1, 15, 100, 250, 1000} {
		claims, err := s.Sweep(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		want := all[:min(limit, len(all))]
		if !slices.EqualFunc(claims, want, func(a, b bellhop.Claim) bool { return a.Token == b.Token }) {
			t.Errorf("a sweep for %d returned %d claims, not the oldest", limit, len(claims))
		}
	}
}

// A process whose lease is lost, as on a server that threw the key away, is not alive [S2]: its jobs are taken back, and if it is
// there all the same, its next beat says so and its jobs are its own.
func TestLostLease(t *testing.T) {
	for _, key := range []string{"leases", "processes"} {
		for _, beats := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, beats %v", key, beats), func(t *testing.T) {
				s := newStore(t, testservers.Redis(t).Address)
				c, o := client(t, openingOf(s).address), openingOf(s)
				p := process(t, s)
				enqueue(t, s, testJobs(5)...)
				held := claim(t, s, p, 5)
				if n := c.Del(t.Context(), "{bellhop:"+o.namespace+"}:"+key).Val(); n != 1 {
					t.Fatalf("%d keys were deleted", n)
				}
				want := 5
				if beats {
					if _, err := s.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: p}, Lease: time.Hour}); err != nil {
						t.Fatal(err)
					}
				}
				if beats || key == "processes" {
					want = 0
				}
				if orphans, err := s.Sweep(t.Context(), 10); err != nil || len(orphans) != want {
					t.Fatalf("swept %d, %v; want %d", len(orphans), err, want)
				}
				advance(s, 2*time.Hour)
				orphans, err := s.Sweep(t.Context(), 10)
				if err != nil || len(orphans) != 5 || orphans[0].Token.Exchange != held[0].Token.Exchange {
					t.Errorf("swept %d when the lease is over, %v; want 5", len(orphans), err)
				}
			})
		}
	}
}

// Of many running jobs the pages are those of all others: the newest first, each once.
func TestListOfManyRunning(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	jobs := testJobs(700)
	enqueue(t, s, jobs...)
	mine, other := process(t, s), process(t, s)
	held := map[bellhop.ID]bool{}
	for i := range 70 {
		for _, c := range claim(t, s, []bellhop.ID{mine, other}[i%2], 10) {
			held[c.Job.ID] = i%2 == 0
		}
	}
	for name, f := range map[string]bellhop.Filter{
		"all": {States: bellhop.States(bellhop.StateRunning)}, "of one": {Process: mine},
	} {
		var want, got []bellhop.ID
		for _, j := range slices.Backward(jobs) {
			if name == "all" || held[j.ID] {
				want = append(want, j.ID)
			}
		}
		for q := (bellhop.Query{Filter: f, Limit: 7}); ; {
			page, err := s.List(t.Context(), &q)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range page.Jobs {
				got = append(got, j.ID)
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: listed %d jobs; want the %d in the order of enqueueing, the newest first", name, len(got), len(want))
		}
	}
}

// Records that have expired, and are still there, stand before those that are wanted.
func TestRecordsAmongExpired(t *testing.T) {
	s := newStore(t, testservers.Redis(t).Address)
	put := func(n int, prefix string, ttl time.Duration) {
		t.Helper()
		for first := 0; first < n; first += 1000 {
			var writes []bellhop.RecordWrite
			for i := range min(1000, n-first) {
				writes = append(writes, bellhop.RecordWrite{Space: "test", Key: fmt.Sprintf("%s%05d", prefix, first+i), Expect: bellhop.ExpectAny, TTL: ttl})
			}
			if err := s.Put(t.Context(), writes); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(2500, "a", time.Minute)
	put(3, "b", 0)
	put(1500, "c", time.Minute)
	put(2, "d", 0)
	advance(s, time.Hour)
	for _, limit := range []int{1, 3, 4, 5, 6, 1000} {
		var keys []string
		records, err := s.Records(t.Context(), &bellhop.RecordQuery{Space: "test", Limit: limit})
		for _, r := range records {
			keys = append(keys, r.Key)
		}
		want := []string{"b00000", "b00001", "b00002", "d00000", "d00001"}
		if want = want[:min(limit, 5)]; err != nil || !slices.Equal(keys, want) {
			t.Errorf("of a limit of %d there are %v, %v; want %v", limit, keys, err, want)
		}
	}
}
