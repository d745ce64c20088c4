package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/testservers"
)

// listenTo returns a channel of the queues that the store's listeners are told.
func listenTo(t testing.TB, s bellhop.Notifier) <-chan string {
	queues := make(chan string, 100)
	t.Cleanup(s.Notify(func(queue string) { queues <- queue }))
	return queues
}

// await waits until a queue is named. Nothing asks here, as a worker does now and then, so what comes was notified of.
func await(t testing.TB, queues <-chan string, want string) {
	t.Helper()
	timeout := time.After(hang)
	for {
		select {
		case got := <-queues:
			if got == want {
				return
			}
		case <-timeout:
			t.Fatalf("nothing was heard of queue %q within %v", want, hang)
		}
	}
}

// What one process enqueues another hears of, at once; what it does itself it
// hears of once.
func TestNotify(t *testing.T) {
	a := newStore(t)
	b := reopen(t, a)
	own, others := listenTo(t, a), listenTo(t, b)
	await(t, others, "") // it listens now
	await(t, own, "")
	_, err := a.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
	await(t, own, "default")
	await(t, others, "default")
	_, err = b.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
	await(t, own, "default")
	select { // a's own notification came before b's if it came at all
	case queue := <-own:
		t.Errorf("heard of %q twice", queue)
	default:
	}
}

// A listener whose connection is ended listens again, and asks for all that it
// may have missed.
func TestListenerIsEnded(t *testing.T) {
	a := newStore(t)
	b := reopen(t, a)
	others := listenTo(t, b)
	await(t, others, "")
	admin := connect(t.Context(), t, testservers.Postgres(t).Address)
	defer admin.Close(context.Background())
	tag, err := admin.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where query = $1`, "listen "+pgx.Identifier{b.Channel()}.Sanitize())
	must(t, err)
	if n := tag.RowsAffected(); n != 1 {
		t.Fatalf("%d listen", n)
	}
	_, err = a.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
	await(t, others, "")
	_, err = a.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
	must(t, err)
	await(t, others, "default")
}

// A pool that ends its connections after a short time does not end the listening.
func TestListenerOutlivesItsPoolsConnections(t *testing.T) {
	address := schema(t)
	const lifetime = 100 * time.Millisecond
	short := onPool(t, address, func(c *pgxpool.Config) {
		c.MaxConnLifetime, c.MaxConnIdleTime, c.HealthCheckPeriod = lifetime, lifetime, lifetime/5
	})
	others := listenTo(t, short)
	await(t, others, "")
	time.Sleep(10 * lifetime) // the pool's other connections come and go
	if len(others) > 0 {
		t.Errorf("it began to listen again: heard of %q", <-others)
	}
	must(t, enqueueOne(open(t, address))(t.Context()))
	await(t, others, "default")
}

// Many enqueues are few notifications.
func TestNotificationsGather(t *testing.T) {
	a := newStore(t)
	b := reopen(t, a)
	others := listenTo(t, b)
	await(t, others, "")
	began := time.Now()
	for range 200 {
		_, err := a.Enqueue(t.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(1)})
		must(t, err)
	}
	took := time.Since(began)
	await(t, others, "default")
	if n, most := len(others), int(took/(5*time.Millisecond))+2; n > most {
		t.Errorf("%d notifications for 200 enqueues in %v; want at most %d", n, took, most)
	}
}
