package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/mysql"
)

// shop is a store beside a table of the caller's own.
type shop struct {
	*mysql.Store
	db *sql.DB
}

func newShop(t *testing.T) *shop {
	t.Helper()
	address := newDatabase(t)
	s := &shop{openAt(t, address+"?migrate=auto"), raw(t, address)}
	run(t, s.db, "create table orders (id int primary key, note varchar(20)) engine = InnoDB")
	return s
}

func (s *shop) begin(t *testing.T) *sql.Tx {
	t.Helper()
	tx, err := s.db.BeginTx(t.Context(), nil)
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (s *shop) orders(t *testing.T) (n int) {
	t.Helper()
	must(t, s.db.QueryRowContext(t.Context(), "select count(*) from orders").Scan(&n))
	return n
}

func (s *shop) claimed(t *testing.T, jobs ...*bellhop.Job) []bellhop.Claim {
	t.Helper()
	p := testProcess()
	_, err := s.Beat(t.Context(), &bellhop.Beat{Process: p, Lease: time.Hour})
	must(t, err)
	_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs})
	must(t, err)
	reply, err := s.Exchange(t.Context(), request(p, len(jobs)))
	must(t, err)
	return reply.Claims
}

func do(t *testing.T, tx *sql.Tx, query string) {
	t.Helper()
	if _, err := tx.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (s *shop) states(t *testing.T, jobs ...*bellhop.Job) (states []bellhop.State) {
	t.Helper()
	for _, j := range jobs {
		found, err := s.Get(t.Context(), []bellhop.ID{j.ID})
		must(t, err)
		state := bellhop.State(0)
		if len(found) == 1 {
			state = found[0].Place.State
		}
		states = append(states, state)
	}
	return states
}

// Jobs exist if and when the caller's transaction commits.
func TestWithinEnqueues(t *testing.T) {
	s := newShop(t)
	client, err := bellhop.NewClient(s.Store)
	must(t, err)
	welcome := bellhop.Define[struct{ User int }]("mail.welcome")
	for _, commit := range []bool{true, false} {
		tx := s.begin(t)
		do(t, tx, "insert into orders values (1, '')")
		receipt, err := welcome.Enqueue(t.Context(), mysql.Within(client, tx), struct{ User int }{7})
		must(t, err)
		if got := s.states(t, &bellhop.Job{ID: receipt.ID})[0]; got != 0 {
			t.Errorf("before the commit the job is %v", got)
		}
		want := bellhop.StateReady
		if commit {
			must(t, tx.Commit())
		} else {
			must(t, tx.Rollback())
			want = 0
		}
		if got := s.states(t, &bellhop.Job{ID: receipt.ID})[0]; got != want {
			t.Errorf("commit %v: the job is %v; want %v", commit, got, want)
		}
		run(t, s.db, "delete from orders")
	}
}

// An attempt is completed together with the caller's own changes; a stale one
// leaves nothing of them [promise 4].
func TestWithinFinishes(t *testing.T) {
	s := newShop(t)
	claims := s.claimed(t, testJobs(2)...)
	outcomes := settled(claims)

	tx := s.begin(t)
	do(t, tx, "insert into orders values (1, 'good')")
	must(t, mysql.FinishWithin(t.Context(), s.Store, tx, outcomes[0]))
	must(t, tx.Commit())
	if got := s.states(t, claims[0].Job)[0]; got != bellhop.StateSucceeded || s.orders(t) != 1 {
		t.Fatalf("the job is %v, and there are %d orders", got, s.orders(t))
	}

	stale := outcomes[1]
	stale.Token.Number++
	tx = s.begin(t)
	do(t, tx, "insert into orders values (2, 'stale')")
	if err := mysql.FinishWithin(t.Context(), s.Store, tx, stale); !errors.Is(err, bellhop.ErrStale) {
		t.Fatalf("a stale claim: %v", err)
	}
	if err := tx.Commit(); err == nil {
		t.Error("the transaction could be committed")
	}
	if got := s.states(t, claims[1].Job)[0]; got != bellhop.StateRunning || s.orders(t) != 1 {
		t.Errorf("the job is %v, and there are %d orders", got, s.orders(t))
	}
}

// What fails leaves nothing in the transaction, and the caller's part stays.
func TestWithinFailsAsAWhole(t *testing.T) {
	s := newShop(t)
	jobs := testJobs(3)
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs[:1]})
	must(t, err)
	taken := *jobs[0]
	taken.Kind = "another.kind"
	tx := s.begin(t)
	do(t, tx, "insert into orders values (1, '')")
	_, err = mysql.EnqueueWithin(t.Context(), s.Store, tx, jobs[1])
	must(t, err)
	if _, err := mysql.EnqueueWithin(t.Context(), s.Store, tx, jobs[2], &taken); !errors.Is(err, bellhop.ErrIDTaken) {
		t.Fatal(err)
	}
	must(t, tx.Commit())
	if got := s.states(t, jobs...); got[1] != bellhop.StateReady || got[2] != 0 || s.orders(t) != 1 {
		t.Errorf("the jobs are %v, and there are %d orders", got, s.orders(t))
	}
}

// A transaction at REPEATABLE READ sees an old snapshot; who holds a key and what
// is there already is looked up beyond it.
func TestWithinLooksBeyondItsSnapshot(t *testing.T) {
	s := newShop(t)
	jobs := testJobs(2)
	jobs[0].UniqueKey, jobs[1].UniqueKey = "key", "key"
	tx := s.begin(t)
	do(t, tx, "select * from orders") // the snapshot is taken
	_, err := s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: jobs[:1]})
	must(t, err)
	receipts, err := mysql.EnqueueWithin(t.Context(), s.Store, tx, jobs[1])
	must(t, err)
	if r := receipts[0]; !r.Existing || r.ID != jobs[0].ID || r.State != bellhop.StateReady {
		t.Errorf("the key's holder: %+v", r)
	}
	receipts, err = mysql.EnqueueWithin(t.Context(), s.Store, tx, jobs[0])
	must(t, err)
	if r := receipts[0]; !r.Existing || r.State != bellhop.StateReady {
		t.Errorf("the job again: %+v", r)
	}
}

// A deadlock inside the caller's transaction is told as one, and what follows it
// cannot be committed piece by piece.
func TestWithinDeadlock(t *testing.T) {
	s := newShop(t)
	run(t, s.db, "insert into orders values (1, ''), (2, '')")
	jobs := testJobs(2)
	jobs[0].UniqueKey, jobs[1].UniqueKey = "key", "key"
	heavy, light := s.begin(t), s.begin(t)
	do(t, heavy, "insert into orders select seq + 10, '' from seq_1_to_1000") // so that the other is given up
	_, err := mysql.EnqueueWithin(t.Context(), s.Store, heavy, jobs[0])
	must(t, err)
	do(t, light, "update orders set note = 'light' where id = 1")
	failed := make(chan error, 1)
	go func() {
		_, err := mysql.EnqueueWithin(context.WithoutCancel(t.Context()), s.Store, light, jobs[1])
		failed <- err
	}()
	waitFor(t, "the light transaction to wait", func() bool {
		var n int
		must(t, s.db.QueryRowContext(t.Context(), "select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT'").Scan(&n))
		return n > 0
	})
	do(t, heavy, "update orders set note = 'heavy' where id = 1")
	if err := <-failed; !errors.Is(err, bellhop.ErrRetryTx) {
		t.Errorf("the deadlock: %v", err)
	}
	if _, err := light.ExecContext(t.Context(), "update orders set note = 'late' where id = 2"); !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("the transaction goes on: %v", err)
	}
	must(t, heavy.Commit())
}

// A key that another transaction holds is waited for as long as the session says;
// then the caller's transaction is still there.
func TestWithinWaitsForAKey(t *testing.T) {
	s := newShop(t)
	jobs := testJobs(2)
	jobs[0].UniqueKey, jobs[1].UniqueKey = "key", "key"
	first, second := s.begin(t), s.begin(t)
	do(t, second, "set innodb_lock_wait_timeout = 1")
	_, err := mysql.EnqueueWithin(t.Context(), s.Store, first, jobs[0])
	must(t, err)
	if _, err := mysql.EnqueueWithin(t.Context(), s.Store, second, jobs[1]); !errors.Is(err, bellhop.ErrRetryTx) {
		t.Fatal(err)
	}
	must(t, first.Rollback())
	_, err = mysql.EnqueueWithin(t.Context(), s.Store, second, jobs[1])
	must(t, err)
	must(t, second.Commit())
	if got := s.states(t, jobs...); got[0] != 0 || got[1] != bellhop.StateReady {
		t.Errorf("the jobs are %v", got)
	}
}

// A batch of other callers' jobs does not wait for an open transaction that holds
// a key of one of them: that one goes alone.
func TestOpenTransactionDoesNotHoldUpOthers(t *testing.T) {
	s := newShop(t)
	jobs := testJobs(2)
	jobs[0].UniqueKey, jobs[1].UniqueKey = "key", "key"
	tx := s.begin(t)
	_, err := mysql.EnqueueWithin(t.Context(), s.Store, tx, jobs[0])
	must(t, err)
	_, err = s.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: append(testJobs(5), jobs[1]), Shared: true})
	if !errors.Is(err, bellhop.ErrLocked) {
		t.Fatalf("a shared batch: %v", err)
	}
	alone := make(chan error, 1)
	go func() {
		_, err := s.Enqueue(context.WithoutCancel(t.Context()), &bellhop.EnqueueRequest{Jobs: jobs[1:]})
		alone <- err
	}()
	must(t, tx.Rollback())
	must(t, <-alone)
	if got := s.states(t, jobs...); got[0] != 0 || got[1] != bellhop.StateReady {
		t.Errorf("the jobs are %v", got)
	}
}

// An open transaction that has enqueued jobs with unique keys, taken or free, holds
// up nobody who wants something else: others enqueue, claim and finish their jobs.
func TestOpenTransactionLocksNothingElse(t *testing.T) {
	for name, level := range map[string]sql.IsolationLevel{"repeatable read": sql.LevelRepeatableRead, "read committed": sql.LevelReadCommitted} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			jobs := testJobs(3)
			jobs[0].UniqueKey, jobs[1].UniqueKey, jobs[2].UniqueKey = "taken", "taken", "free"
			s.claimed(t, jobs[0])
			tx, err := s.db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
			must(t, err)
			t.Cleanup(func() { _ = tx.Rollback() })
			receipts, err := mysql.EnqueueWithin(t.Context(), s.Store, tx, jobs[1:]...)
			must(t, err)
			if r := receipts[0]; !r.Existing || r.ID != jobs[0].ID || r.State != bellhop.StateRunning || receipts[1].Existing {
				t.Errorf("receipts %+v", receipts)
			}
			ctx, cancel := context.WithTimeout(t.Context(), hang)
			defer cancel()
			others := testJobs(5)
			others[0].UniqueKey = "another"
			_, err = s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: others, Shared: true})
			must(t, err)
			p := testProcess()
			_, err = s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour})
			must(t, err)
			reply, err := s.Exchange(ctx, request(p, 10))
			must(t, err)
			last := request(p, 0)
			last.Outcomes = settled(reply.Claims)
			done, err := s.Exchange(ctx, last)
			must(t, err)
			if len(reply.Claims) != 5 || len(done.Refused) > 0 {
				t.Errorf("%d claims, %d of their outcomes refused", len(reply.Claims), len(done.Refused))
			}
			must(t, tx.Commit())
		})
	}
}

// A job whose key a user's open transaction has found taken ends when that one does;
// outcomes of others do not wait for it.
func TestOpenTransactionKeepsAKeysHolder(t *testing.T) {
	s := newShop(t)
	jobs := testJobs(3)
	jobs[0].UniqueKey, jobs[2].UniqueKey = "taken", "taken"
	outcomes := settled(s.claimed(t, jobs[:2]...))
	var waited atomic.Int32
	s.SetStep(func(_ context.Context, _ bellhop.Op, statement string, done bool) error {
		if statement == "drop these unique keys" && !done {
			waited.Add(1)
		}
		return nil
	})
	tx := s.begin(t)
	_, err := mysql.EnqueueWithin(t.Context(), s.Store, tx, jobs[2])
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	hand := func() *bellhop.ExchangeReply {
		reply, err := s.Exchange(ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: outcomes})
		must(t, err)
		return reply
	}
	if reply := hand(); !slices.Equal(reply.Unsettled, []int{0}) || len(reply.Refused) > 0 {
		t.Errorf("unsettled %v, refused %v", reply.Unsettled, reply.Refused)
	}
	if got := s.states(t, jobs[:2]...); got[0] != bellhop.StateRunning || got[1] != bellhop.StateSucceeded {
		t.Errorf("the holder is %v, the other %v", got[0], got[1])
	}
	if reply := hand(); !slices.Equal(reply.Unsettled, []int{0}) || len(reply.Refused) > 0 || waited.Load() != 1 {
		t.Errorf("again: unsettled %v, refused %v; %d of two have waited for the lock, want 1", reply.Unsettled, reply.Refused, waited.Load())
	}
	must(t, tx.Rollback())
	if reply := hand(); len(reply.Unsettled)+len(reply.Refused) > 0 {
		t.Errorf("after the transaction: unsettled %v, refused %v", reply.Unsettled, reply.Refused)
	}
	if got := s.states(t, jobs[0]); got[0] != bellhop.StateSucceeded {
		t.Errorf("the holder is %v", got[0])
	}
}

// A user's open transaction that holds a claim holds up no other outcome. The claim's own is not refused, since the
// transaction may be rolled back: it is unsettled, and handed in again without waiting each time [X1].
func TestOpenTransactionHoldsAClaim(t *testing.T) {
	for name, commits := range map[string]bool{"committed": true, "rolled back": false} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			jobs := testJobs(2)
			claims := s.claimed(t, jobs...)
			outcomes := settled(claims)
			tx := s.begin(t)
			must(t, mysql.FinishWithin(t.Context(), s.Store, tx, outcomes[0]))
			var waits atomic.Int32
			s.SetStep(func(_ context.Context, _ bellhop.Op, statement string, done bool) error {
				if statement == "hold running" && !done {
					waits.Add(1)
				}
				return nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), hang)
			defer cancel()
			hand := func(outcomes ...bellhop.Outcome) *bellhop.ExchangeReply {
				t.Helper()
				reply, err := s.Exchange(ctx, &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: outcomes})
				must(t, err)
				return reply
			}
			back := claims[0].HandBack("its process is gone")
			if reply := hand(back, outcomes[1]); !slices.Equal(reply.Unsettled, []int{0}) || len(reply.Refused) > 0 {
				t.Errorf("unsettled %v, refused %v", reply.Unsettled, reply.Refused)
			}
			waits.Store(0)
			if reply := hand(back); !slices.Equal(reply.Unsettled, []int{0}) || len(reply.Refused) > 0 || waits.Load() > 0 {
				t.Errorf("again: unsettled %v, refused %v; it has waited %d times", reply.Unsettled, reply.Refused, waits.Load())
			}
			if got := s.states(t, jobs...); got[0] != bellhop.StateRunning || got[1] != bellhop.StateSucceeded {
				t.Errorf("the one that is held is %v, the other %v", got[0], got[1])
			}
			var want []bellhop.Refusal
			state := bellhop.StateReady
			if commits {
				must(t, tx.Commit())
				want, state = []bellhop.Refusal{{Index: 0, Err: bellhop.ErrStale, Recorded: bellhop.OutcomeSucceeded}}, bellhop.StateSucceeded
			} else {
				must(t, tx.Rollback())
			}
			if reply := hand(back); len(reply.Unsettled) > 0 || !slices.Equal(reply.Refused, want) || s.states(t, jobs[0])[0] != state {
				t.Errorf("after the transaction: unsettled %v, refused %v; the job is %v", reply.Unsettled, reply.Refused, s.states(t, jobs[0]))
			}
		})
	}
}

// A user's open transaction that holds a claim holds up no action on others: the job
// is skipped [A1], named by id or found by a filter.
func TestOpenTransactionHoldsUpNoAction(t *testing.T) {
	s := newShop(t)
	claims := s.claimed(t, testJobs(2)...)
	held, other := claims[0].Job.ID, claims[1].Job.ID
	tx := s.begin(t)
	must(t, mysql.FinishWithin(t.Context(), s.Store, tx, settled(claims)[0]))
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	defer cancel()
	for _, r := range []bellhop.ActRequest{{IDs: []bellhop.ID{held, other}}, {Filter: bellhop.Filter{Queues: []string{"default"}}}, {IDs: []bellhop.ID{held}}} {
		r.Action = bellhop.ActCancel
		reply, err := s.Act(ctx, &r)
		must(t, err)
		want := []bellhop.Skip{{ID: held, State: bellhop.StateRunning, Locked: true}}
		if !slices.Equal(reply.Skipped, want) || len(r.IDs) != 1 && !slices.Equal(reply.Signalled, []bellhop.ID{other}) {
			t.Errorf("%d ids: skipped %v, want %v; signalled %v", len(r.IDs), reply.Skipped, want, reply.Signalled)
		}
	}
	must(t, tx.Rollback())
	reply, err := s.Act(t.Context(), &bellhop.ActRequest{Action: bellhop.ActCancel, IDs: []bellhop.ID{held}})
	must(t, err)
	if !slices.Equal(reply.Signalled, []bellhop.ID{held}) {
		t.Errorf("after the transaction: %+v", reply)
	}
}

// A transaction on another database is refused, and so is none, and a client on another store.
func TestWithinAnotherDatabase(t *testing.T) {
	s, other := newShop(t), newShop(t)
	here, err := bellhop.NewClient(s.Store)
	must(t, err)
	elsewhere, err := bellhop.NewClient(memory.New())
	must(t, err)
	tx := other.begin(t)
	for want, bound := range map[string]*bellhop.Bound{
		"another database":                     mysql.Within(here, tx),
		"mysql.Within: the transaction is nil": mysql.Within(here, nil),
		`the client's store is "memory"`:       mysql.Within(elsewhere, tx),
	} {
		if _, err := bellhop.Enqueue(t.Context(), bound, bellhop.RawJob("test.job", []byte("1"))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in the error, it is %v", want, err)
		}
	}
}

// waitFor looks again and again until something is so.
func waitFor(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(hang); !is(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(150 * time.Millisecond) // InnoDB shows what it is doing no more than ten times a second, counted from the last look
	}
}
