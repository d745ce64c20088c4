package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
	"github.com/gobellhop/bellhop/store/postgres"
)

// exec runs a statement of the administrator's; S stands for the schema.
func (l *lister) exec(sql string, args ...any) {
	l.Helper()
	_, err := l.conn.Exec(l.Context(), strings.ReplaceAll(sql, "S.", pgx.Identifier{l.schema}.Sanitize()+"."), args...)
	must(l, err)
}

// What is running and in no list, as the release before leaves it, is found all the
// same: pruning lists it, and until then doctor tells.
func TestMissingListsAreMade(t *testing.T) {
	for name, loss := range map[string]string{
		"rows of the release before": "update S.bellhop_exchanges set process = null, jobs = null",
		"no rows":                    "delete from S.bellhop_exchanges",
		"a part of a list":           "update S.bellhop_exchanges set jobs = jobs[2:]",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLister(t)
			l.enqueue(6)
			claims, _ := l.exchange(nil, 3)
			more, _ := l.exchange(nil, 3)
			l.store.Advance(2 * time.Minute) // since it was looked after
			l.exec(loss)
			if f := found(t, l.store, "lists"); f.Level != "warning" {
				t.Errorf("doctor says %+v", f)
			}
			_, err := l.store.Prune(t.Context(), 100)
			must(t, err)
			if f := found(t, l.store, "lists"); f.Level != "ok" {
				t.Errorf("doctor says after pruning %+v", f)
			}
			checkLists(t, l.conn, l.schema)
			again, err := l.store.Exchange(t.Context(), &bellhop.ExchangeRequest{
				ID: claims[0].Token.Exchange, Process: l.process.ID, Limit: 3, Kinds: []string{"k"}, Wants: []bellhop.Want{{Queue: "q", Count: 3}},
			})
			if err != nil || len(again.Claims) != 3 {
				t.Errorf("the exchange repeated returns %d claims, %v; want its 3", len(again.Claims), err)
			}
			if reply := l.beat(false, append(tokens(claims), tokens(more)...)...); len(reply.Lost)+len(reply.Extra) > 0 {
				t.Errorf("a beat of all claims tells the difference %+v", reply)
			}
			l.exec("update S.bellhop_processes set gone_at = 1")
			orphans, err := l.store.Sweep(t.Context(), 10)
			if err != nil || len(orphans) != 6 {
				t.Errorf("the sweep finds %d claims, %v; want all 6", len(orphans), err)
			}
		})
	}
}

// Two that look for what is in no list at the same time list it once.
func TestMissingListsAreMadeOnce(t *testing.T) {
	l := newLister(t)
	l.enqueue(3)
	claims, _ := l.exchange(nil, 3)
	l.exec("create temporary table kept as select * from S.bellhop_exchanges")
	l.exec("update S.bellhop_exchanges set jobs = jobs[2:]")
	tx, err := l.conn.Begin(t.Context()) // is the first
	must(t, err)
	l.exec("insert into S.bellhop_counters (name, value) values ('listed', 1)")
	l.exec("update S.bellhop_exchanges e set jobs = k.jobs from kept k where k.id = e.id")
	second := make(chan error)
	go func() {
		_, err := l.store.Prune(context.WithoutCancel(t.Context()), 1)
		second <- err
	}()
	for waiting := 0; waiting == 0; {
		must(t, l.conn.QueryRow(t.Context(), `select count(*) from pg_locks w join pg_locks h on h.transactionid = w.transactionid
			where not w.granted and h.granted and h.pid = pg_backend_pid()`).Scan(&waiting))
	}
	must(t, tx.Commit(t.Context()))
	must(t, <-second)
	r := &bellhop.ExchangeRequest{
		ID: claims[0].Token.Exchange, Process: l.process.ID, Limit: 3, Kinds: []string{"k"}, Wants: []bellhop.Want{{Queue: "q", Count: 3}},
	}
	if again, err := l.store.Exchange(t.Context(), r); err != nil || len(again.Claims) != 3 {
		t.Errorf("the exchange repeated returns %d claims, %v; want its 3", len(again.Claims), err)
	}
}

func tokens(claims []bellhop.Claim) (list []bellhop.Token) {
	for _, c := range claims {
		list = append(list, c.Token)
	}
	return list
}

// An end that is counted late, after its exchange was made anew, does not count for the new claims.
func TestEndsThatAreCountedLate(t *testing.T) {
	l := newLister(t)
	l.enqueue(3)
	r := l.request()
	first, err := l.store.Exchange(t.Context(), r)
	must(t, err)
	ended, release := make(chan bool), make(chan bool)
	var held atomic.Bool
	l.store.SetStep(func(_ context.Context, op bellhop.Op, statement string, done bool) error {
		if op == bellhop.OpExchange && statement == "commit" && done && held.CompareAndSwap(false, true) {
			close(ended)
			<-release
		}
		return nil
	})
	late := make(chan error)
	go func() {
		_, err := l.store.Exchange(context.WithoutCancel(t.Context()), &bellhop.ExchangeRequest{
			ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{success(first.Claims[0].Token)},
		})
		late <- err
	}()
	<-ended
	l.store.Advance(time.Minute)
	l.beat(false) // removes the list
	again, err := l.store.Exchange(t.Context(), r)
	must(t, err)
	close(release)
	must(t, <-late)
	l.exchange(nil, 1) // hands in what lists may go
	if reply := l.beat(false, again.Claims[0].Token); len(again.Claims) != 1 || len(reply.Lost) > 0 {
		t.Errorf("the beat says that %v is lost", reply.Lost)
	}
}

// An exchange whose claims have ended claims anew but once, however often it is made at
// the same time, and all that it has claimed is in its list.
func TestEndedExchangeMadeAtOnce(t *testing.T) {
	l := newLister(t)
	for range 20 {
		l.enqueue(9)
		r := l.request()
		first, err := l.store.Exchange(t.Context(), r)
		must(t, err)
		_, err = l.store.Exchange(t.Context(), &bellhop.ExchangeRequest{ID: bellhop.NewID(), Outcomes: []bellhop.Outcome{success(first.Claims[0].Token)}})
		must(t, err)
		var calls sync.WaitGroup
		var mu sync.Mutex
		claimed := map[bellhop.Token]bool{}
		for range 8 {
			calls.Go(func() {
				again := *r
				reply, err := l.store.Exchange(t.Context(), &again)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for _, c := range reply.Claims {
					claimed[c.Token] = true
				}
			})
		}
		calls.Wait()
		if len(claimed) != 1 {
			t.Errorf("X8: one exchange with the limit 1 has claimed %d jobs", len(claimed))
		}
		checkLists(t, l.conn, l.schema)
		if t.Failed() {
			return
		}
	}
}

// An exchange of another process under the same id is refused: its list would replace the first one's.
func TestExchangeOfAnotherProcess(t *testing.T) {
	l := newLister(t)
	l.enqueue(2)
	claims, _ := l.exchange(nil, 1)
	r := l.request()
	r.ID, r.Process = claims[0].Token.Exchange, testProcess(t, l.store)
	if _, err := l.store.Exchange(t.Context(), r); err == nil || !errors.Is(err, bellhop.ErrUnchanged) || !strings.Contains(err.Error(), "made by another process") {
		t.Errorf("another process's exchange of the same id: %v", err)
	}
	if reply := l.beat(false, claims[0].Token); len(reply.Lost) > 0 {
		t.Errorf("the beat says that %v is lost", reply.Lost)
	}
}

// Lists are followed row by row, also if the planner takes the table of what is running for empty.
func TestListsByAnyStatistics(t *testing.T) {
	const lists, each = 50, 100
	l := newLister(t)
	for range lists {
		l.enqueue(each)
		l.exchange(nil, each)
	}
	session(t, l.store, l.conn)
	const told = "update pg_class set reltuples = %d, relpages = %d where relname like 'bellhop%%' and relnamespace = (select relnamespace from pg_class where oid = 'S.bellhop_jobs'::regclass)"
	l.exec(fmt.Sprintf(told, 0, 100))
	defer l.exec(fmt.Sprintf(told, -1, 0)) // the schema is for other tests after this one
	process := fmt.Sprintf("%x", l.process.ID[:])
	looks := map[*sqlstore.Stmt][]any{postgres.ListMissing: {int64(1) << 60, 1}, postgres.CountMissing: nil}
	for _, st := range sqlstore.Statements() {
		switch st.Name {
		case "claims of process":
			looks[st] = []any{process}
		case "orphans":
			looks[st] = []any{1000}
		case "running by process", "running by queue":
			looks[st] = nil
		case "prune exchanges":
			looks[st] = []any{int64(1) << 60, 1000}
		}
	}
	for st, args := range looks {
		plan := runPlan(t, l.conn, l.store.SQL(st), args)
		most := 10 * lists * each
		if st.Name == "prune exchanges" { // which looks for the first of each list
			most = 10 * lists
		}
		if n := pages(t, plan); n > most {
			t.Errorf("%s touches %d pages for %d lists of %d jobs:\n%s", st.Name, n, lists, each, plan)
		}
	}
}
