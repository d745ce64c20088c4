package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/mysql"
)

// BenchmarkDrain measures how fast jobs are worked off, by exchanges of 1000, in
// a queue as it is, beside an old snapshot that keeps deleted rows from being
// cleared away, and before a million others:
//
//	go test ./store/mysql -run '^$' -bench Drain -benchtime 100000x
func BenchmarkDrain(b *testing.B) {
	for _, c := range []struct {
		name    string
		old     bool
		waiting int
	}{{"as it is", false, 0}, {"old snapshot", true, 0}, {"a million waiting", false, 1_000_000}} {
		b.Run(c.name, func(b *testing.B) {
			address := spare.take(b)
			s, db := openAt(b, address), raw(b, address)
			load(b, s, b.N)
			if c.waiting > 0 {
				fill(b, db, c.waiting)
			}
			if c.old {
				tx, err := db.BeginTx(b.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
				must(b, err)
				b.Cleanup(func() { _ = tx.Rollback() })
				var n int
				must(b, tx.QueryRowContext(b.Context(), "select count(*) from bellhop_ready").Scan(&n))
			}
			b.ResetTimer()
			drain(b, s, b.N)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

func load(b *testing.B, s *mysql.Store, n int) {
	for left := n; left > 0; left -= 1000 {
		_, err := s.Enqueue(b.Context(), &bellhop.EnqueueRequest{Jobs: testJobs(min(left, 1000))})
		must(b, err)
	}
}

// fill adds jobs behind those that are there.
func fill(b *testing.B, db *sql.DB, n int) {
	first := time.Now().Add(24*time.Hour).UnixMicro() << 11
	for _, text := range []string{
		`insert into bellhop_jobs (job, id, kind, queue, priority, attempts, enqueued_at, args)
			select %[1]d + seq, unhex(lpad(hex(seq), 32, '0')), 'test.job', 'default', 0, 25, 1, '{}' from seq_1_to_%[2]d`,
		`insert into bellhop_ready (queue, priority, due, job, kind) select 'default', 0, %[1]d + seq, %[1]d + seq, 'test.job' from seq_1_to_%[2]d`,
	} {
		_, err := db.ExecContext(b.Context(), fmt.Sprintf(text, first, n))
		must(b, err)
	}
}

func drain(b *testing.B, s *mysql.Store, n int) {
	ctx, p := context.Background(), testProcess()
	_, err := s.Beat(ctx, &bellhop.Beat{Process: p, Lease: time.Hour})
	must(b, err)
	var outcomes []bellhop.Outcome
	for left := n; left > 0 || len(outcomes) > 0; {
		r := request(p, min(1000, left))
		r.Outcomes = outcomes
		reply, err := s.Exchange(ctx, r)
		must(b, err)
		if left > 0 && len(reply.Claims) == 0 {
			b.Fatalf("%d jobs are left, and none was claimed", left)
		}
		left -= len(reply.Claims)
		outcomes = settled(reply.Claims)
	}
}
