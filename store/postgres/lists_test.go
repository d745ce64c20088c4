package postgres_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
	"github.com/gobellhop/bellhop/store/postgres"
)

// checkLists fails a test that has left a job running that is not in the list of its exchange: nobody would find it.
func checkLists(t testing.TB, conn *pgx.Conn, schema string) {
	t.Helper()
	var unlisted int
	must(t, conn.QueryRow(context.Background(), fmt.Sprintf(`select count(*) from %[1]s.bellhop_running r where not exists (
		select 1 from %[1]s.bellhop_exchanges e where e.id = r.exchange and e.process = r.process and r.job = any(e.jobs))`,
		pgx.Identifier{schema}.Sanitize())).Scan(&unlisted))
	if unlisted > 0 {
		t.Errorf("%d running jobs are not in the lists of their exchanges", unlisted)
	}
}

// lister is a process of a store whose lists are counted.
type lister struct {
	testing.TB
	store   *postgres.Store
	conn    *pgx.Conn
	schema  string
	process bellhop.Process
}

func newLister(t testing.TB) *lister {
	l := &lister{TB: t, store: newStore(t), process: bellhop.Process{ID: bellhop.NewID(), Queues: []string{"q"}, Kinds: []string{"k"}}}
	address, _ := addresses.Load(l.store)
	l.schema = schemaIn(t, address.(string))
	l.conn = connect(t.Context(), t, testservers.Postgres(t).Address)
	t.Cleanup(func() { _ = l.conn.Close(context.Background()) })
	l.beat(false)
	return l
}

func (l *lister) beat(leave bool, held ...bellhop.Token) *bellhop.BeatReply {
	reply, err := l.store.Beat(l.Context(), &bellhop.Beat{Process: l.process, Lease: time.Hour, Leave: leave, Held: held})
	must(l, err)
	return reply
}

// request asks for one job.
func (l *lister) request() *bellhop.ExchangeRequest {
	return &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: l.process.ID, Limit: 1, Kinds: []string{"k"}, Wants: []bellhop.Want{{Queue: "q", Count: 1}},
	}
}

func (l *lister) enqueue(n int) {
	var jobs []*bellhop.Job
	for range n {
		jobs = append(jobs, &bellhop.Job{ID: bellhop.NewID(), Kind: "k", Queue: "q", Attempts: 1})
	}
	_, err := l.store.Enqueue(l.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
	must(l, err)
}

// exchange ends claims and makes others, and tells how many lists there are then.
func (l *lister) exchange(ends []bellhop.Claim, limit int) (claims []bellhop.Claim, lists int) {
	r := &bellhop.ExchangeRequest{
		ID: bellhop.NewID(), Process: l.process.ID, Limit: limit, Kinds: []string{"k"}, Wants: []bellhop.Want{{Queue: "q", Count: limit}},
	}
	for _, c := range ends {
		r.Outcomes = append(r.Outcomes, success(c.Token))
	}
	reply, err := l.store.Exchange(l.Context(), r)
	must(l, err)
	if len(reply.Refused) > 0 {
		l.Fatalf("refused: %v", reply.Refused)
	}
	return reply.Claims, l.lists()
}

func (l *lister) lists() (n int) {
	must(l, l.conn.QueryRow(l.Context(), "select count(*) from "+pgx.Identifier{l.schema, "bellhop_exchanges"}.Sanitize()).Scan(&n))
	return n
}

func success(token bellhop.Token) bellhop.Outcome {
	return bellhop.Outcome{Token: token, Kind: bellhop.OutcomeSucceeded, Started: time.Now(), Ended: time.Now(), Keep: -1}
}

// A list goes with the exchange after the one that has ended its last claim.
func TestListsGoWithTheirLastClaims(t *testing.T) {
	l := newLister(t)
	l.enqueue(10)
	first, _ := l.exchange(nil, 4)
	second, _ := l.exchange(first[:3], 4)
	third, lists := l.exchange(append(second, first[3]), 1)
	if len(first) != 4 || len(second) != 4 || len(third) != 1 || lists != 3 {
		t.Fatalf("%d, %d and %d claims and %d lists; want 4, 4 and 1 and the lists of all", len(first), len(second), len(third), lists)
	}
	if _, lists = l.exchange(nil, 1); lists != 2 {
		t.Errorf("%d lists; want those of the two exchanges with claims that are left", lists)
	}
}

// What a user's transaction has ended nobody counts: a beat removes the list, and leaves those with claims.
func TestListsGoWithBeats(t *testing.T) {
	l := newLister(t)
	l.enqueue(3)
	ended, _ := l.exchange(nil, 2)
	open, _ := l.exchange(nil, 1)
	tx, err := l.conn.Begin(t.Context())
	must(t, err)
	for _, c := range ended {
		must(t, postgres.FinishWithin(t.Context(), l.store, tx, success(c.Token)))
	}
	must(t, tx.Commit(t.Context()))
	if l.beat(false, open[0].Token); l.lists() != 2 {
		t.Errorf("%d lists; want both: they are too young to be looked after", l.lists())
	}
	l.store.Advance(time.Minute)
	if reply := l.beat(false, open[0].Token); l.lists() != 1 || len(reply.Lost)+len(reply.Extra) > 0 {
		t.Errorf("%d lists and the reply %+v; want that of the claim which is held, and no difference", l.lists(), reply)
	}
	if l.beat(true); l.lists() != 1 {
		t.Errorf("%d lists after the process has left; want that of its claim", l.lists())
	}
	orphans, err := l.store.Sweep(t.Context(), 10)
	if err != nil || len(orphans) != 1 || orphans[0].Token != open[0].Token {
		t.Errorf("the sweep finds %v, %v; want the claim that is left", orphans, err)
	}
}

// A process that leaves takes its lists with it.
func TestListsGoWithTheirProcess(t *testing.T) {
	l := newLister(t)
	l.enqueue(2)
	claims, _ := l.exchange(nil, 2)
	if rest, lists := l.exchange(claims, 2); len(rest) != 0 || lists != 1 {
		t.Fatalf("%d claims and %d lists; want none more, and the list not gone yet", len(rest), lists)
	}
	if l.beat(true); l.lists() != 0 {
		t.Errorf("%d lists are left", l.lists())
	}
}

// An exchange whose claims have all ended and that is made again claims anew, and its list is not taken for the old one.
func TestListOfRepeatedExchange(t *testing.T) {
	l := newLister(t)
	l.enqueue(2)
	r := l.request()
	first, err := l.store.Exchange(t.Context(), r)
	must(t, err)
	_, err = l.store.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{success(first.Claims[0].Token)}})
	must(t, err)
	again, err := l.store.Exchange(t.Context(), r)
	must(t, err)
	if len(again.Claims) != 1 {
		t.Fatalf("%d claims; want one anew", len(again.Claims))
	}
	l.exchange(nil, 1) // hands in that the first list may go
	if reply := l.beat(false, again.Claims[0].Token); len(reply.Lost) > 0 || l.lists() != 1 {
		t.Errorf("lost are %v, and there are %d lists; want none, and one", reply.Lost, l.lists())
	}
}

// While another session holds an old snapshot, what was deleted stays: no look at what is running walks over it.
func TestLooksPassNothingDeleted(t *testing.T) {
	l := newLister(t)
	old, err := connect(t.Context(), t, testservers.Postgres(t).Address).Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = old.Conn().Close(context.Background()) })
	_, err = old.Exec(t.Context(), "set transaction isolation level repeatable read; select count(*) from pg_class")
	must(t, err)
	var claims []bellhop.Claim
	for range 20 {
		l.enqueue(1000)
		claims, _ = l.exchange(claims, 1000)
	}
	l.enqueue(10)
	claims, _ = l.exchange(claims, 5)
	l.exchange(nil, 5) // with it goes the list of the last thousand
	session(t, l.store, l.conn)
	process := fmt.Sprintf("%x", l.process.ID[:])
	looks := map[string][]any{
		"claims of process": {process}, "orphans": {10}, "running by process": nil, "running by queue": nil,
		"claims of exchange": {fmt.Sprintf("%x", claims[0].Token.Exchange[:])}, "prune exchanges": {int64(1) << 60, 10},
	}
	for _, st := range sqlstore.Statements() {
		args, is := looks[st.Name]
		if !is {
			continue
		}
		delete(looks, st.Name)
		plan := runPlan(t, l.conn, l.store.SQL(st), args)
		if n := pages(t, plan); n > 150 {
			t.Errorf("%s touches %d pages for ten claims, after 20,000 that have ended:\n%s", st.Name, n, plan)
		}
	}
	if len(looks) > 0 {
		t.Errorf("there is no statement %v", looks)
	}
}

// touched finds how many pages a plan that was run has touched; its first line of them is that of the whole.
var touched = regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`)

func pages(t testing.TB, plan string) int {
	t.Helper()
	found := touched.FindStringSubmatch(plan)
	if found == nil {
		t.Fatalf("no pages are told in\n%s", plan)
	}
	hit, _ := strconv.Atoi(found[1])
	read, _ := strconv.Atoi(found[2])
	return hit + read
}
