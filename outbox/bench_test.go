package outbox_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"
)

// BenchmarkRelay measures how fast a relay empties an outbox into a store that costs nothing: the database's part of a move. "old
// snapshot" is the same while another session keeps PostgreSQL from cleaning up deleted rows.
func BenchmarkRelay(b *testing.B) {
	for _, d := range databases {
		b.Run(d.name, func(b *testing.B) { empty(b, newRig(b, d.make(b), memory.New())) })
	}
	b.Run("postgres, old snapshot", func(b *testing.B) {
		r := newRig(b, databases[1].make(b), memory.New())
		tx, err := r.db.BeginTx(r.ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		r.must(err)
		defer tx.Rollback()
		_, err = tx.ExecContext(r.ctx, "select count(*) from bellhop_outbox")
		r.must(err)
		empty(b, r)
	})
}

// empty fills an outbox with b.N jobs and measures how it is emptied.
func empty(b *testing.B, r *rig) {
	for left := b.N; left > 0; left -= bellhop.MaxBatch {
		drafts := make([]bellhop.Draft, min(left, bellhop.MaxBatch))
		for i := range drafts {
			drafts[i] = greet.New("a few words, as arguments are")
		}
		r.enqueue(drafts...)
	}
	relay, err := outbox.NewRelay(r.box, r.db, outbox.Config{})
	r.must(err)
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan error, 1)
	b.ResetTimer()
	go func() { done <- relay.Run(ctx) }()
	for relay.Stats().Moved < int64(b.N) {
		time.Sleep(time.Millisecond) // polled: the end of a move is told to nobody
	}
	b.StopTimer()
	cancel()
	r.must(<-done)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkEnqueue measures a transaction with one job, and BenchmarkEnqueue/…/bare the same transaction with one row of the user's own.
func BenchmarkEnqueue(b *testing.B) {
	for _, d := range databases {
		r := newRig(b, d.make(b), memory.New())
		_, err := r.db.ExecContext(r.ctx, "create table own (id integer primary key, word varchar(100))")
		r.must(err)
		insert := "insert into own (id, word) values (?, 'a few words, as arguments are')"
		if r.dialect == outbox.PostgreSQL {
			insert = "insert into own (id, word) values ($1, 'a few words, as arguments are')"
		}
		n := 0
		bare := func(tx *sql.Tx) {
			n++
			_, err := tx.ExecContext(r.ctx, insert, n)
			r.must(err)
		}
		b.Run(d.name+"/bare", func(b *testing.B) {
			for b.Loop() {
				r.tx(func(tx *sql.Tx) bool { bare(tx); return true })
			}
		})
		b.Run(d.name+"/with a job", func(b *testing.B) {
			for b.Loop() {
				r.tx(func(tx *sql.Tx) bool {
					bare(tx)
					_, err := greet.Enqueue(r.ctx, r.box.Within(tx), "a few words, as arguments are")
					r.must(err)
					return true
				})
			}
		})
	}
}
