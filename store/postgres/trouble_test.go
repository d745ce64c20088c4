package postgres_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/faultproxy"
	"github.com/gobellhop/bellhop/internal/testservers"
	"github.com/gobellhop/bellhop/store/postgres"
	"github.com/gobellhop/bellhop/store/storetest"
)

// eventually repeats a call that may fail with ErrUnavailable only, until it succeeds.
func eventually(t *testing.T, call func(ctx context.Context) error) {
	t.Helper()
	for deadline := time.Now().Add(hang); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := call(ctx)
		cancel()
		switch {
		case err == nil:
			return
		case !errors.Is(err, bellhop.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
			t.Fatal(err)
		case time.Now().After(deadline):
			t.Fatalf("it does not work %v after the server's return: %v", hang, err)
		}
		time.Sleep(50 * time.Millisecond) // the server is away: nothing tells when it is back
	}
}

func enqueueOne(s bellhop.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: testJobs(1)})
		return err
	}
}

// A server that takes no writes, as after a failover to a standby, is left as soon
// as another can be had.
func TestReadOnlyServer(t *testing.T) {
	server := testservers.StartPostgres(t)
	s := open(t, testservers.With(server.Address, "migrate", "auto"))
	admin := connect(t.Context(), t, server.Address)
	defer admin.Close(context.Background())
	set := func(to string) {
		_, err := admin.Exec(t.Context(), "alter system set default_transaction_read_only = "+to)
		must(t, err)
		_, err = admin.Exec(t.Context(), "select pg_reload_conf()")
		must(t, err)
	}
	must(t, enqueueOne(s)(t.Context()))
	set("on")
	var err error
	for err == nil { // the sessions learn of it in their own time
		err = enqueueOne(s)(t.Context())
	}
	if !errors.Is(err, bellhop.ErrUnavailable) || !errors.Is(err, bellhop.ErrUnchanged) || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("enqueueing on a read-only server: %v", err)
	}
	_, err = admin.Exec(t.Context(), "set default_transaction_read_only = off")
	must(t, err)
	set("off")
	eventually(t, enqueueOne(s))
}

// The server is killed under load and comes back: nothing that was acknowledged
// is lost, errors are of the one kind, and the store goes on by itself.
func TestServerIsKilled(t *testing.T) {
	server := testservers.StartPostgres(t)
	s := open(t, testservers.With(server.Address, "migrate", "auto"))
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var mu sync.Mutex
	var taken []bellhop.ID
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				jobs := testJobs(3)
				call, done := context.WithTimeout(t.Context(), 5*time.Second)
				_, err := s.Enqueue(call, &bellhop.EnqueueRequest{Jobs: jobs})
				done()
				switch {
				case err == nil:
					mu.Lock()
					taken = append(taken, jobs[0].ID, jobs[1].ID, jobs[2].ID)
					mu.Unlock()
				case !errors.Is(err, bellhop.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
					t.Error(err)
				default:
					time.Sleep(20 * time.Millisecond) // as a caller would who tries again
				}
			}
		})
	}
	for range 2 {
		time.Sleep(150 * time.Millisecond) // for work to be under way
		server.Kill()
		server.Start()
		eventually(t, enqueueOne(s))
	}
	cancel()
	group.Wait()
	eventually(t, func(ctx context.Context) error {
		found, err := s.Get(ctx, taken)
		if err == nil && len(found) != len(taken) {
			t.Errorf("%d jobs were acknowledged, %d are there", len(taken), len(found))
		}
		return err
	})
}

// A frozen server does not hold a caller longer than its context.
func TestServerFreezes(t *testing.T) {
	server := testservers.StartPostgres(t)
	s := open(t, testservers.With(server.Address, "migrate", "auto"))
	must(t, enqueueOne(s)(t.Context()))
	server.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := enqueueOne(s)(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("enqueueing on a frozen server: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a call with 300 ms took %v", took)
	}
	server.Thaw()
	eventually(t, enqueueOne(s))
}

// A user's open transaction that holds a unique key keeps those callers waiting
// who want that key, however many they are, and nobody else. If it is rolled back, one
// of them takes the key, and the others are told of that one: nobody trusted a job that
// never came to be.
func TestUsersTransactionHoldsAKey(t *testing.T) {
	for name, commits := range map[string]bool{"committed": true, "rolled back": false} {
		t.Run(name, func(t *testing.T) { usersTransactionHoldsAKey(t, commits) })
	}
}

func usersTransactionHoldsAKey(t *testing.T, commits bool) {
	s := newStore(t)
	client := newClient(t, s)
	alone := enqueueOthers(t, client)
	tx, err := newPool(t, testservers.Postgres(t).Address).Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	first, err := sendWelcome.Enqueue(t.Context(), postgres.Within(client, tx), welcome{1}, bellhop.UniqueKey("held"))
	must(t, err)

	const callers = 8 // more than there are enqueues at once
	waiting := make(chan bellhop.Receipt, callers)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			receipt, err := sendWelcome.Enqueue(t.Context(), client, welcome{2}, bellhop.UniqueKey("held"))
			if err != nil {
				t.Error(err)
			}
			waiting <- receipt
		})
	}
	if took := enqueueOthers(t, client); took > 3*time.Second+10*alone {
		t.Errorf("the others have waited %v for a transaction of a user; alone they take %v", took, alone)
	}
	select {
	case receipt := <-waiting:
		t.Errorf("the key was taken, or found, while its transaction is open: %+v", receipt)
	default:
	}
	end, wantTook := tx.Rollback, 1
	if commits {
		end, wantTook = tx.Commit, 0
	}
	must(t, end(t.Context()))
	group.Wait()
	close(waiting)
	took, holders := 0, map[bellhop.ID]bool{}
	for receipt := range waiting {
		holders[receipt.ID] = true
		if !receipt.Existing {
			took++
		}
	}
	if took != wantTook || len(holders) != 1 || holders[first.ID] != commits {
		t.Errorf("%d of those who waited took the key, want %d; they were told of %v, the first was %s", took, wantTook, holders, first.ID)
	}
}

// enqueueOthers enqueues 200 jobs without a key, each for itself and all at once, and returns how long that took.
func enqueueOthers(t *testing.T, client *bellhop.Client) time.Duration {
	began := time.Now()
	var others sync.WaitGroup
	for i := range 200 {
		others.Go(func() {
			if _, err := sendWelcome.Enqueue(t.Context(), client, welcome{i}); err != nil {
				t.Error(err)
			}
		})
	}
	others.Wait()
	return time.Since(began)
}

// holding returns a user's open transaction that has completed a claim; it is rolled back at the end of the test.
func holding(t *testing.T, s *postgres.Store, claim bellhop.Claim) pgx.Tx {
	t.Helper()
	tx, err := newPool(t, testservers.Postgres(t).Address).Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	must(t, postgres.FinishWithin(t.Context(), s, tx, claim.Settle(bellhop.Policy{}, bellhop.Return{})))
	return tx
}

// A user's open transaction that holds a claim holds up no other outcome. The claim's own is not refused, since the
// transaction may be rolled back: it is unsettled, and handed in again without waiting each time [X1].
func TestUsersTransactionHoldsAClaim(t *testing.T) {
	for name, commits := range map[string]bool{"committed": true, "rolled back": false} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			held, other := claimOne(t, s), claimOne(t, s)
			tx := holding(t, s, held)
			var waits atomic.Int32
			s.SetStep(func(_ context.Context, _ bellhop.Op, statement string, done bool) error {
				if !done && slices.Contains([]string{"hold running", "end", "end plain"}, statement) {
					waits.Add(1)
				}
				return nil
			})
			hand := func(outcomes ...bellhop.Outcome) *bellhop.ExchangeReply {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), hang) // the transaction is open for longer
				defer cancel()
				reply, err := s.Exchange(ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: outcomes})
				must(t, err)
				return reply
			}
			back := held.HandBack("its process is gone")
			reply := hand(back, other.Settle(bellhop.Policy{}, bellhop.Return{}))
			if !slices.Equal(reply.Unsettled, []int{0}) || len(reply.Refused) > 0 || stateOf(t, s, other.Token.JobID) != bellhop.StateSucceeded {
				t.Errorf("unsettled %v, refused %v; the other is %v", reply.Unsettled, reply.Refused, stateOf(t, s, other.Token.JobID))
			}
			waits.Store(0)
			if reply := hand(back); !slices.Equal(reply.Unsettled, []int{0}) || len(reply.Refused) > 0 || waits.Load() > 0 {
				t.Errorf("again: unsettled %v, refused %v; it has waited %d times", reply.Unsettled, reply.Refused, waits.Load())
			}
			if !commits {
				must(t, tx.Rollback(t.Context()))
				if reply := hand(back); len(reply.Unsettled)+len(reply.Refused) > 0 || stateOf(t, s, held.Token.JobID) != bellhop.StateReady {
					t.Errorf("after it was rolled back: %+v; the job is %v", reply, stateOf(t, s, held.Token.JobID))
				}
				return
			}
			must(t, tx.Commit(t.Context()))
			reply = hand(back, held.Settle(bellhop.Policy{}, bellhop.Return{}))
			want := []bellhop.Refusal{{Index: 0, Err: bellhop.ErrStale, Recorded: bellhop.OutcomeSucceeded}}
			if len(reply.Unsettled) > 0 || !slices.Equal(reply.Refused, want) || stateOf(t, s, held.Token.JobID) != bellhop.StateSucceeded {
				t.Errorf("after the commit: %+v; the job is %v", reply, stateOf(t, s, held.Token.JobID))
			}
		})
	}
}

// An outcome is applied at once although its claim is locked for a moment, by a report for
// example, just when a user's open transaction holds another [X1].
func TestLockedForAMoment(t *testing.T) {
	s := newStore(t)
	held, other := claimOne(t, s), claimOne(t, s)
	pool := newPool(t, testservers.Postgres(t).Address)
	begin := func() pgx.Tx {
		tx, err := pool.Begin(t.Context())
		must(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
		return tx
	}
	must(t, postgres.FinishWithin(t.Context(), s, begin(), held.Settle(bellhop.Policy{}, bellhop.Return{})))
	moment := begin()
	_, err := moment.Exec(t.Context(), "select job from "+pgx.Identifier{s.SchemaName(), "bellhop_running"}.Sanitize()+" for update skip locked")
	must(t, err)
	s.SetStep(func(_ context.Context, _ bellhop.Op, statement string, done bool) error {
		if statement == "hold unlocked running" && done {
			_ = moment.Rollback(context.Background())
		}
		return nil
	})
	reply, err := s.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{
		held.HandBack("its process is gone"), other.Settle(bellhop.Policy{}, bellhop.Return{}),
	}})
	must(t, err)
	if !slices.Equal(reply.Unsettled, []int{0}) || len(reply.Refused) > 0 || stateOf(t, s, other.Token.JobID) != bellhop.StateSucceeded {
		t.Errorf("unsettled %v, refused %v; the other is %v", reply.Unsettled, reply.Refused, stateOf(t, s, other.Token.JobID))
	}
}

// A user's open transaction that holds a claim holds up no action on others: the job
// is skipped [A1], named by id or found by a filter.
func TestUsersTransactionHoldsUpNoAction(t *testing.T) {
	s := newStore(t)
	held, other := claimOne(t, s), claimOne(t, s)
	tx := holding(t, s, held)
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	for _, r := range []bellhop.ActRequest{{IDs: []bellhop.ID{held.Job.ID, other.Job.ID}}, {Filter: bellhop.Filter{Queues: []string{"default"}}}, {IDs: []bellhop.ID{held.Job.ID}}} {
		r.Action = bellhop.ActCancel
		reply, err := s.Act(ctx, &r)
		must(t, err)
		want := []bellhop.Skip{{ID: held.Job.ID, State: bellhop.StateRunning, Locked: true}}
		if !slices.Equal(reply.Skipped, want) || len(r.IDs) != 1 && !slices.Equal(reply.Signalled, []bellhop.ID{other.Job.ID}) {
			t.Errorf("%d ids: skipped %v, want %v; signalled %v", len(r.IDs), reply.Skipped, want, reply.Signalled)
		}
	}
	must(t, tx.Rollback(t.Context()))
	reply, err := s.Act(t.Context(), &bellhop.ActRequest{Action: bellhop.ActCancel, IDs: []bellhop.ID{held.Job.ID}})
	must(t, err)
	if !slices.Equal(reply.Signalled, []bellhop.ID{held.Job.ID}) {
		t.Errorf("after the transaction: %+v", reply)
	}
}

// A user's open transaction that holds a claim holds up no other report.
func TestUsersTransactionHoldsUpNoReport(t *testing.T) {
	s := newStore(t)
	held, other := claimOne(t, s), claimOne(t, s)
	holding(t, s, held)
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	done := []byte(`{"done":1}`)
	_, err := s.Report(ctx, []bellhop.Report{{Token: held.Token, Progress: done}, {Token: other.Token, Progress: done}})
	if !errors.Is(err, bellhop.ErrUnavailable) || ctx.Err() != nil {
		t.Errorf("reports of which one is held: %v, %v", err, ctx.Err())
	}
	found, err := s.Get(t.Context(), []bellhop.ID{other.Token.JobID})
	must(t, err)
	if got := string(found[0].Place.Progress); got != string(done) {
		t.Errorf("the progress of the other is %q", got)
	}
}

// A scheduled job whose transaction commits long after it was due is found, though looks for what is due next no longer go that far
// back at each exchange.
func TestScheduledJobThatCommitsLate(t *testing.T) {
	s := newStore(t)
	client, err := bellhop.NewClient(s)
	must(t, err)
	process := testProcess(t, s)
	tx, err := newPool(t, testservers.Postgres(t).Address).Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	receipt, err := sendWelcome.Enqueue(t.Context(), postgres.Within(client, tx), welcome{1}, bellhop.In(time.Millisecond))
	must(t, err)
	look := func() time.Duration {
		reply, err := s.Exchange(t.Context(), request(process, 1))
		must(t, err)
		return reply.Signals.NextDue
	}
	s.Advance(time.Minute)
	for range 5 {
		if next := look(); next >= 0 {
			t.Fatalf("a job is due in %v", next)
		}
	}
	must(t, tx.Commit(t.Context()))
	deadline := time.Now().Add(hang)
	for look() != 0 {
		if time.Now().After(deadline) {
			t.Fatal("it is never seen to be due")
		}
		time.Sleep(10 * time.Millisecond) // looked for again and again, as a worker does
	}
	for n := 0; n == 0; {
		n, _, err = s.Promote(t.Context(), 10)
		must(t, err)
		if time.Now().After(deadline) {
			t.Fatal("it is never promoted")
		}
	}
	if got := stateOf(t, s, receipt.ID); got != bellhop.StateReady {
		t.Errorf("the job is %v", got)
	}
}

// A claim does not touch the jobs of a queue that is paused [X6].
func TestPausedQueueIsLeftAlone(t *testing.T) {
	s := newStore(t)
	process := testProcess(t, s)
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(20)})
	must(t, err)
	must(t, s.Pause(t.Context(), "default", true))
	reply, err := s.Exchange(t.Context(), request(process, 10))
	must(t, err)
	conn := connect(t.Context(), t, testservers.Postgres(t).Address)
	defer conn.Close(context.Background())
	var locked int
	table := pgx.Identifier{s.SchemaName(), "bellhop_ready"}.Sanitize()
	must(t, conn.QueryRow(t.Context(), "select count(*) from "+table+" where xmax <> 0").Scan(&locked))
	if len(reply.Claims) > 0 || locked > 0 {
		t.Errorf("%d claims, and %d rows were locked", len(reply.Claims), locked)
	}
}

// Exchanges under way, which hold their process's row, keep a sweep waiting and the
// end of the process, but not its beats [S1].
func TestBeatsPassExchanges(t *testing.T) {
	s := newStore(t)
	process := testProcess(t, s)
	tx, err := newPool(t, testservers.Postgres(t).Address).Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), "select id from "+pgx.Identifier{s.SchemaName(), "bellhop_processes"}.Sanitize()+" for key share")
	must(t, err)
	beat := func(leave bool, within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, err := s.Beat(ctx, &bellhop.Beat{Process: bellhop.Process{ID: process}, Lease: time.Hour, Leave: leave})
		return err
	}
	must(t, beat(false, hang))
	if err := beat(true, time.Second); err == nil {
		t.Error("the process has left in the midst of an exchange")
	}
}

// An exchange that is repeated by a process which is gone brings nothing [X9].
func TestRepeatOfAProcessThatIsGone(t *testing.T) {
	s := newStore(t)
	process := testProcess(t, s)
	must(t, enqueueOne(s)(t.Context()))
	r := request(process, 1)
	first, err := s.Exchange(t.Context(), r)
	must(t, err)
	_, err = s.Beat(t.Context(), &bellhop.Beat{Process: bellhop.Process{ID: process}, Leave: true})
	must(t, err)
	again, err := s.Exchange(t.Context(), r)
	if !errors.Is(err, bellhop.ErrProcessGone) || len(first.Claims) != 1 || len(again.Claims) > 0 {
		t.Errorf("first %d claims, then %d, and %v", len(first.Claims), len(again.Claims), err)
	}
}

// Our sessions are at READ COMMITTED whatever the database's default is.
func TestDefaultIsolation(t *testing.T) {
	server := testservers.Postgres(t)
	address := server.Database(t)
	admin := connect(t.Context(), t, address)
	defer admin.Close(context.Background())
	_, err := admin.Exec(t.Context(), `do $$ begin execute format('alter database %I set default_transaction_isolation = serializable', current_database()); end $$`)
	must(t, err)
	s := open(t, testservers.With(address, "migrate", "auto"))
	use(t, s)
	level, err := s.Isolation(t.Context())
	must(t, err)
	if level != "read committed" {
		t.Errorf("a statement of ours runs at %s", level)
	}
	must(t, s.Close())
}

// Behind a pooler in transaction mode, which gives each transaction another
// connection, the contract holds as well.
func TestTransactionPooler(t *testing.T) {
	admin := testservers.Postgres(t).Address
	pooler := faultproxy.NewPooler(t, admin)
	h := storetest.Harness{
		New: func(t testing.TB) bellhop.Store {
			return open(t, testservers.With(pooler.Through(admin), "pooler", "transaction", "schema", schemaIn(t, schema(t))))
		},
		Reopen: harness.Reopen, Advance: harness.Advance,
	}
	if testing.Short() {
		use(t, h.New(t))
		return
	}
	keepPools(t)
	storetest.RunQuick(t, h)
	if pooler.Transactions() == 0 {
		t.Error("nothing went through the pooler")
	}
}

// Notifications reach a store behind a pooler by another way, if one is named.
func TestListenBesideAPooler(t *testing.T) {
	direct := testservers.Postgres(t).Address
	pooler := faultproxy.NewPooler(t, direct)
	address := testservers.With(pooler.Through(direct), "pooler", "transaction", "listen", direct, "schema", schemaIn(t, schema(t)))
	a, b := open(t, address), open(t, address)
	others := listenTo(t, b)
	await(t, others, "")
	must(t, enqueueOne(a)(t.Context()))
	await(t, others, "default")
}
