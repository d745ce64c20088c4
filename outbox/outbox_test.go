package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"
)

// A job that was enqueued in a transaction is there when, and only when, the transaction has committed.
func TestCommitAndRollback(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.relay()
		var kept, lost bellhop.Receipt
		r.tx(func(tx *sql.Tx) bool {
			var err error
			lost, err = greet.Enqueue(r.ctx, r.box.Within(tx), "nobody")
			r.must(err)
			return false
		})
		r.tx(func(tx *sql.Tx) bool {
			var err error
			kept, err = greet.Enqueue(r.ctx, r.box.Within(tx), "Ada")
			r.must(err)
			if kept.State != 0 || kept.Existing {
				t.Errorf("the receipt says more than can be known: %+v", kept)
			}
			if r.dialect != outbox.SQLite { // others can be read beside an open transaction
				time.Sleep(50 * time.Millisecond) // so that the relay looks, more than once
			}
			if r.get(kept.ID) != nil {
				t.Error("the job was moved before the commit")
			}
			return true
		})
		r.eventually("the job is moved", func() bool { return r.get(kept.ID) != nil })
		if s := r.get(kept.ID); string(s.Args) != `"Ada"` || s.Place.State != bellhop.StateReady {
			t.Errorf("moved as %s, %s", s.Args, s.Place.State)
		}
		if r.get(lost.ID) != nil {
			t.Error("a job was moved whose transaction was rolled back")
		}
		r.moved()
	})
}

// Jobs are moved in the order in which they were enqueued, through batches that are smaller than what waits.
func TestOrderAndBatches(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const n = 777
		var drafts []bellhop.Draft
		for i := range n {
			drafts = append(drafts, greet.New(fmt.Sprint(i)))
		}
		receipts := r.enqueue(drafts...)
		if s := r.status(); s.Waiting != n || s.Lag <= 0 {
			t.Errorf("%+v", s)
		}
		relay, stop := r.relay(func(c *outbox.Config) { c.Batch = 50 })
		r.moved()
		stop()
		if s := relay.Stats(); s.Moved != n || s.Existing != 0 || s.SetAside != 0 {
			t.Errorf("%+v", s)
		}
		q := bellhop.Query{Limit: 1000}
		page, err := r.store.List(r.ctx, &q)
		r.must(err)
		if len(page.Jobs) != n {
			t.Fatalf("%d jobs in the store, want %d", len(page.Jobs), n)
		}
		for i, s := range page.Jobs { // newest first
			if s.ID != receipts[n-1-i].ID {
				t.Fatalf("job %d is %s, want another", i, s.Args)
			}
		}
	})
}

// If one statement of a large enqueue fails, nothing of it is left in the transaction.
func TestAllOrNone(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		var drafts []bellhop.Draft
		for i := range 100 {
			drafts = append(drafts, greet.New(fmt.Sprint(i)))
		}
		r.tx(func(tx *sql.Tx) bool {
			n := 0
			broken := errors.New("the third statement fails")
			box := r.box.WithinFunc(func(ctx context.Context, statement string, args ...any) error {
				if n++; n == 3 {
					return broken
				}
				_, err := tx.ExecContext(ctx, statement, args...)
				return err
			})
			if _, err := bellhop.Enqueue(r.ctx, box, drafts...); !errors.Is(err, broken) {
				t.Errorf("error %v", err)
			}
			return true
		})
		if s := r.status(); s.Waiting != 0 {
			t.Errorf("%d jobs are left", s.Waiting)
		}
	})
}

// Rows that cannot be moved are set aside, each with its reason, and hold up no others.
func TestPoison(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		_, err := greet.Enqueue(r.ctx, r.client, "there before", bellhop.WithID(bellhop.IDFromKey("test", "taken")))
		r.must(err)
		wanted := r.enqueue(
			greet.New("one"),
			greet.New("other content", bellhop.WithID(bellhop.IDFromKey("test", "taken"))),
			greet.New("the same", bellhop.WithID(bellhop.IDFromKey("test", "same"))),
			greet.New("the same", bellhop.WithID(bellhop.IDFromKey("test", "same"))),
			greet.New("damaged"), greet.New("unreadable"), greet.New("of a later release"),
			greet.New("last"),
		)
		change := func(set string, id bellhop.ID) {
			t.Helper()
			result, err := r.db.ExecContext(r.ctx, fmt.Sprintf("update bellhop_outbox set %s where id = '%s'", set, id))
			r.must(err)
			if n, _ := result.RowsAffected(); n != 1 {
				t.Fatalf("%d rows changed", n)
			}
		}
		change("args = '{'", wanted[4].ID)
		change("job = '{}'", wanted[5].ID)
		change("format = 77", wanted[6].ID)
		relay, stop := r.relay()
		r.moved()
		stop()
		for i, there := range []bool{0: true, 2: true, 4: false, 5: false, 6: false, 7: true} {
			if i != 1 && i != 3 && (r.get(wanted[i].ID) != nil) != there {
				t.Errorf("job %d: in the store is %v", i, !there)
			}
		}
		if s := relay.Stats(); s.SetAside != 4 || s.Moved != 4 || s.Existing != 1 {
			t.Errorf("%+v", s)
		}
		list, err := r.box.Asides(r.ctx, r.db, 100)
		r.must(err)
		for i, want := range []string{bellhop.ErrIDTaken.Error(), "arguments:", `kind "": empty`, "of a later format"} {
			if !strings.Contains(list[i].Reason, want) || time.Since(list[i].At) > time.Minute {
				t.Errorf("set aside %d: %+v, want %s", i, list[i], want)
			}
		}
		if len(list) != 4 || r.status().SetAside != 4 {
			t.Errorf("%d are set aside, %+v", len(list), r.status())
		}

		// What has been mended is moved after all.
		change("args = '\"mended\"'", wanted[4].ID)
		change("format = 1", wanted[6].ID)
		r.relay() // one of a release that knows the format takes such rows up by itself
		r.eventually("the job of a later format is moved", func() bool { return r.get(wanted[6].ID) != nil })
		n, err := r.box.Retry(r.ctx, r.db)
		if n != 3 || err != nil {
			t.Errorf("tried again: %d, %v", n, err)
		}
		r.eventually("the mended job is moved", func() bool { return r.get(wanted[4].ID) != nil && r.status().SetAside == 2 })
	})
}

// Rows are kept for as long as the setting says.
func TestKeep(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.enqueue(greet.New("a"), greet.New("b"))
		_, stop := r.relay(func(c *outbox.Config) { c.Keep = time.Hour })
		r.moved()
		stop()
		if s := r.status(); s.Kept != 2 {
			t.Errorf("%+v", s)
		}
		_, stop = r.relay(func(c *outbox.Config) { c.Keep = time.Millisecond })
		r.eventually("they are pruned", func() bool { return r.status().Kept == 0 })
		stop()
		if n := r.count(); n != 2 {
			t.Errorf("%d jobs in the store", n)
		}
	})
}

// What a store has lost is moved again from the rows that are kept, and what it has is not taken twice.
func TestMoveAgain(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		receipts := r.enqueue(greet.New("lost"), greet.New("there"))
		_, stop := r.relay(func(c *outbox.Config) { c.Keep = time.Hour })
		r.moved()
		stop()
		reply, err := r.store.Act(r.ctx, &bellhop.ActRequest{Action: bellhop.ActDelete, IDs: []bellhop.ID{receipts[0].ID}})
		r.must(err)
		if len(reply.Changed) != 1 {
			t.Fatalf("%+v", reply)
		}
		if n, err := r.box.MoveAgain(r.ctx, r.db, -time.Hour); n != 0 || err != nil {
			t.Errorf("%d rows from the future, %v", n, err)
		}
		if n, err := r.box.MoveAgain(r.ctx, r.db, time.Minute); n != 2 || err != nil {
			t.Errorf("%d rows, want 2; %v", n, err)
		}
		relay, stop := r.relay()
		r.moved()
		stop()
		if s := relay.Stats(); s.Moved != 2 || s.Existing != 1 || r.count() != 2 || r.get(receipts[0].ID) == nil {
			t.Errorf("%+v, %d jobs", s, r.count())
		}
	})
}

// Processes that start together may all make the table.
func TestCreateAtOnce(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		for range 5 {
			_, err := r.db.ExecContext(r.ctx, "drop table bellhop_outbox")
			r.must(err)
			errs := make(chan error, 8)
			for range cap(errs) {
				go func() { errs <- r.box.Create(r.ctx, r.db) }()
			}
			for range cap(errs) {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		}
		r.must(r.box.Check(r.ctx, r.db))
	})
}

// A table of any name in any schema will do.
func TestNames(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			address := d.make(t)
			plain := newRig(t, address, memory.New())
			schema := "My Schema"
			switch plain.dialect {
			case outbox.PostgreSQL:
				_, err := plain.db.ExecContext(t.Context(), `create schema "My Schema"`)
				plain.must(err)
			case outbox.MySQL:
				plain.must(plain.db.QueryRowContext(t.Context(), "select database()").Scan(&schema))
			case outbox.SQLite:
				schema = "main"
			}
			r := newRig(t, address, memory.New(), outbox.InSchema(schema), outbox.Table("The \"Out`Box\" of Jobs"))
			r.must(r.box.Check(t.Context(), r.db))
			receipt := r.enqueue(greet.New("x"))
			r.relay()
			r.eventually("moved", func() bool { return r.get(receipt[0].ID) != nil })
			if s := plain.status(); s.Waiting+s.Kept+s.SetAside != 0 {
				t.Errorf("the other table holds %+v", s)
			}
		})
	}
	for _, bad := range []outbox.Option{outbox.Table(""), outbox.Table("a\x00b"), outbox.Table(strings.Repeat("x", 51)), outbox.InSchema("a\nb"), outbox.Table("\xff")} {
		if _, err := outbox.Schema(outbox.SQLite, bad); err == nil {
			t.Error("a bad name was accepted")
		}
	}
}
